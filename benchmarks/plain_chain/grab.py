"""The API of the plain chain: POST /upload with a multipart field `image`, or the raw body."""

import json
import uuid
from pathlib import Path

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from benchmarks.plain_chain.common import Bucket, connect_redis


def create_app() -> Flask:
    """Return the Flask app; create the bucket if it is missing."""
    app = Flask(__name__)
    redis, bucket = connect_redis(), Bucket()
    if not bucket.client.bucket_exists(bucket.name):
        bucket.client.make_bucket(bucket.name)

    @app.post("/upload")
    def upload() -> ResponseReturnValue:
        file = request.files.get("image")
        data = file.read() if file else request.get_data()
        if not data:
            return jsonify(error="Send the picture as the multipart field `image`, or as the raw body."), 400
        image_id = uuid.uuid4().hex
        filename = (file.filename if file else request.args.get("filename")) or "image.jpg"
        path = f"original/{image_id}{Path(filename).suffix.lower()}"
        bucket.put(path, data, "application/octet-stream")
        redis.rpush("resize_queue", json.dumps({"image_id": image_id, "filename": filename, "original_path": path}))
        return jsonify(image_id=image_id), 202

    return app
