"""The servers that backups are made of and restored to, and the scripts that do it, for tests."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from stageline.catalogue import open_engine
from stageline.core.settings import Settings
from stageline.store import S3Store
from tests.support.places import REPOSITORY
from tests.support.running_line import inherited
from tests.support.servers import MinioServer
from tests.support.serving import s3_settings

SECONDS = 300


@dataclass
class Place:
    """The servers of a line: where scripts find them, and what is in them."""

    minio: MinioServer
    database_url: str

    def __post_init__(self) -> None:
        self.engine = open_engine(Settings(database_url=self.database_url))

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which a line's processes, and the scripts, find them."""
        minio = {"MINIO_ACCESS_KEY": self.minio.access_key, "MINIO_SECRET_KEY": self.minio.secret_key}
        return {**minio, "MINIO_ENDPOINT": self.minio.endpoint, "DATABASE_URL": self.database_url}

    def bucket(self, name: str) -> S3Store:
        """One of its buckets, made where it is not there yet."""
        store = S3Store.from_settings(s3_settings(self.minio, name))
        store.check()
        return store

    def objects(self) -> dict[str, bytes]:
        """All objects of both buckets."""
        stores = {name: self.bucket(name) for name in ("images", "models")}
        return {f"{name}/{key}": store.get(key) for name, store in stores.items() for key in store.keys("")}


def script(name: str, *words: object, at: Place | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script with that environment, and nothing on its standard input."""
    kept = inherited()
    kept["PATH"] = f"{Path(sys.executable).parent}:{kept['PATH']}"
    defaults = {"LOG_LEVEL": "ERROR"} | (at.environment if at else {})
    return subprocess.run(
        [REPOSITORY / "scripts" / name, *map(str, words)], env=kept | defaults | environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
