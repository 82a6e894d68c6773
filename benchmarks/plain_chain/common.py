"""Shared by every step of the plain chain: settings, the bucket, the loop."""

import io
import json
import os
import traceback
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from minio import Minio
from redis import Redis

Image = np.ndarray[Any, np.dtype[Any]]
Message = dict[str, Any]


def connect_redis() -> Redis:
    """A Redis client; without a socket timeout, since BLPOP waits for as long as it takes."""
    return Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"), socket_timeout=None)


class Bucket:
    """The one bucket, with what the steps put in it."""

    def __init__(self) -> None:
        self.name = os.environ.get("S3_BUCKET", "images")
        self.client = Minio(
            os.environ.get("MINIO_ENDPOINT", "127.0.0.1:9000"),
            access_key=os.environ["MINIO_ACCESS_KEY"],
            secret_key=os.environ["MINIO_SECRET_KEY"],
            secure=False,
        )

    def get(self, key: str) -> bytes:
        """The bytes of an object."""
        response = self.client.get_object(self.name, key)
        try:
            return response.read()
        finally:
            response.close()
            response.release_conn()

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store an object."""
        self.client.put_object(self.name, key, io.BytesIO(data), len(data), content_type=content_type)

    def get_image(self, key: str, flags: int = cv2.IMREAD_COLOR) -> Image:
        """A decoded picture, upright (cv2 applies the EXIF orientation)."""
        image = cv2.imdecode(np.frombuffer(self.get(key), np.uint8), flags)
        if image is None:
            raise ValueError(f"{key} is not a picture")
        return image

    def put_image(self, key: str, image: Image) -> None:
        """Store a picture as JPEG."""
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        self.put(key, data.tobytes(), "image/jpeg")

    def put_json(self, key: str, value: Any) -> None:
        """Store a JSON document."""
        self.put(key, json.dumps(value).encode(), "application/json")


def run(name: str, source: str, target: str, step: Callable[[Message, Bucket], Message]) -> None:
    """Take messages from one list, process them, push the results to the next; for ever."""
    cv2.setNumThreads(1)
    redis, bucket = connect_redis(), Bucket()
    print(f"{name}: ready", flush=True)
    while True:
        taken = redis.blpop([source])
        if taken is None:
            continue
        try:
            message = step(json.loads(taken[1]), bucket)
        except Exception:  # noqa: BLE001 - as a user would, who wants the loop to go on
            traceback.print_exc()  # this picture is lost
            continue
        redis.rpush(target, message["image_id"] if target == "done_queue" else json.dumps(message))
