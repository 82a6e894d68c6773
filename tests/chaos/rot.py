"""Bit rot in MinIO's own files, and whether it makes an object unreadable.

MinIO keeps each object in a folder of its own: a small one within `xl.meta`, a larger one as `part.1` below that.
"""

import http.client
import urllib.parse
from pathlib import Path

from tests.chaos.deployment import BUCKET, Deployment

WHILE_READING = (http.client.HTTPException, OSError)


def rot(deployment: Deployment, key: str, at: int) -> Path:
    """Flip the bits of the object's byte at that place, counted from its first, on disk; return the file."""
    data = read(deployment, key)
    assert data is not None, f"{key} cannot be read before it is damaged"
    folder = deployment.minio.folder / "data" / BUCKET / key
    parts = list(folder.glob("*/part.1"))
    file = parts[0] if parts else folder / "xl.meta"
    # Checksums stand between the object's pieces, so the place is looked for by the bytes that begin there.
    place = file.read_bytes().index(data[at : at + 32])
    with file.open("r+b") as opened:
        opened.seek(place)
        opened.write(bytes([data[at] ^ 0xFF]))
    return file


def read(deployment: Deployment, key: str) -> bytes | None:
    """Return the object, read once; None where MinIO has it and cannot give it whole."""
    url = urllib.parse.urlsplit(deployment.bucket.presigned_get_object(BUCKET, key))
    connection = http.client.HTTPConnection(url.netloc, timeout=60)
    try:
        connection.request("GET", f"{url.path}?{url.query}")
        answer = connection.getresponse()
        data = answer.read()
    except WHILE_READING:
        return None
    finally:
        connection.close()
    assert answer.status in (200, 500, 503), (answer.status, data)
    return data if answer.status == 200 else None
