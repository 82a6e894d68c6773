"""A MinIO's settings and root, for the tests of the line's user there."""

from minio import Minio, MinioAdmin
from minio.credentials.providers import StaticProvider

from stageline.core.settings import Settings
from tests.support.servers import MinioServer

ACCESS, SECRET = "the-line", "the-secret-of-the-line"


def settings_of(server: MinioServer, **more: str) -> Settings:
    """The environment of the process that makes the user; ``more`` wins."""
    root = {"minio_root_user": server.access_key, "minio_root_password": server.secret_key}
    line = {"minio_access_key": ACCESS, "minio_secret_key": SECRET, "minio_endpoint": server.endpoint}
    return Settings(**{**root, **line, **more})


def root_of(server: MinioServer) -> Minio:
    return Minio(endpoint=server.endpoint, access_key=server.access_key, secret_key=server.secret_key, secure=False)


def admin_of(server: MinioServer) -> MinioAdmin:
    return MinioAdmin(
        endpoint=server.endpoint, credentials=StaticProvider(server.access_key, server.secret_key), secure=False
    )
