"""Servers for as long as a test runs, and settings for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from stageline.core.settings import Settings
from tests.support.places import missing
from tests.support.servers import MinioServer, PostgresServer, RedisServer

Server = TypeVar("Server", RedisServer, MinioServer, PostgresServer)


@contextmanager
def served(server: Server, *, at_once: bool = True) -> Iterator[Server]:
    """A server for as long as the block runs; where this machine has none, see ``missing``."""
    try:
        server.command()
    except FileNotFoundError as error:
        missing(str(error))
    try:
        if at_once:
            server.start()
        yield server
    finally:
        server.kill()


def s3_settings(server: MinioServer, bucket: str, **more: Any) -> Settings:
    """Settings for a real MinIO."""
    return Settings(
        minio_endpoint=server.endpoint,
        minio_access_key=server.access_key,
        minio_secret_key=server.secret_key,
        s3_bucket=bucket.strip("-."),
        **more,
    )
