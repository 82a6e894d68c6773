"""The integration tier: tests that talk to real servers, read installed models or real pictures."""

from tests.support.fixtures import (  # noqa: F401 - fixtures
    any_redis,
    catalogue_engine,
    data_dir,
    minio_server,
    models_dir,
    no_cluster,
    own_redis,
    postgres_server,
    redis_server,
    settings,
    start_line,
    start_minio,
    start_redis,
    store,
)
