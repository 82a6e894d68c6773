"""The page's tier: a real Chromium before a real line."""

from tests.support.fixtures import (  # noqa: F401 - fixtures
    data_dir,
    models_dir,
    redis_server,
    settings,
    start_line,
    start_redis,
)
