"""The object store: pixels live here, under stage folders. A bucket of MinIO or any S3, or a folder."""

from stageline.settings import Settings
from stageline.store.base import ObjectStore
from stageline.store.folder import FolderStore
from stageline.store.s3 import S3Store

__all__ = ["FolderStore", "ObjectStore", "S3Store", "open_store"]


def open_store(settings: Settings) -> ObjectStore:
    """Return the bucket that the settings name: at MINIO_ENDPOINT, or a folder below STAGELINE_DATA."""
    if settings.minio_endpoint:
        return S3Store.from_settings(settings)
    return FolderStore(settings.stageline_data / settings.s3_bucket)
