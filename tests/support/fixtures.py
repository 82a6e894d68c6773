"""Fixtures with real servers and installed models. A tier's conftest imports those that its tests may use."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp

import pytest
from sqlalchemy import Engine

from stageline.broker.producer import Producer
from stageline.catalogue import open_engine
from stageline.catalogue.migrate import migrate
from stageline.core.errors import ModelError, SettingsError
from stageline.core.settings import Settings
from stageline.local import embedded
from stageline.local.ports import free_port
from stageline.registry.install import by_default, install_all
from stageline.store import FolderStore, ObjectStore, S3Store
from tests.support.places import REPOSITORY, SHARED, missing
from tests.support.running_line import RunningLine
from tests.support.servers import MinioServer, PostgresServer, RedisServer
from tests.support.serving import s3_settings, served


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that a module's tests may kill; every write is on the disk before it is answered."""
    if shutil.which("curl") is None:
        missing("no curl on the PATH")
    with served(RedisServer(tmp_path_factory.mktemp("own-redis"), ["--appendfsync", "always"])) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The machine's own Redis."""
    with served(RedisServer(tmp_path_factory.mktemp("redis"))) as server:
        yield server


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    """A real MinIO."""
    with served(MinioServer(tmp_path_factory.mktemp("minio"))) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A real PostgreSQL."""
    with served(PostgresServer(tmp_path_factory.mktemp("postgres"))) as server:
        yield server


@pytest.fixture
def no_cluster(tmp_path: Path) -> str:
    """A KUBECONFIG whose cluster does not answer; an empty one would mean the cluster that the tests run in, if any."""
    if shutil.which("kubectl") is None:
        missing("no kubectl on the PATH")
    config = tmp_path / "kubeconfig"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: nowhere\n"
        f"clusters: [{{name: nowhere, cluster: {{server: 'https://127.0.0.1:{free_port()}'}}}}]\n"
        "contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]\nusers: [{name: nobody, user: {}}]\n"
    )
    return str(config)


@pytest.fixture(params=["sqlite", "postgres"])
def catalogue_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """The catalogue in each kind of database, empty and migrated."""
    url = None
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.create_database("catalogue")
    engine = open_engine(Settings(database_url=url, stageline_data=tmp_path / "catalogue"))
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Start a Redis of a test's own, with further arguments; not yet, with ``at_once=False``."""
    with ExitStack() as stack:
        yield lambda *extra_args, at_once=True: stack.enter_context(
            served(RedisServer(Path(mkdtemp(prefix="redis-", dir=tmp_path)), extra_args), at_once=at_once)
        )


@pytest.fixture
def start_minio(tmp_path: Path) -> Iterator[Callable[..., MinioServer]]:
    """Start a MinIO of a test's own; not yet, with ``at_once=False``."""
    with ExitStack() as stack:
        yield lambda *, at_once=True: stack.enter_context(
            served(MinioServer(Path(mkdtemp(prefix="minio-", dir=tmp_path))), at_once=at_once)
        )


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The models of the repository's data folder, installed when they are missing."""
    mirror = os.environ.get("STAGELINE_TEST_MIRROR") or (str(SHARED / "models") if SHARED.exists() else None)
    found = Settings(stageline_data=REPOSITORY / "stageline-data", stageline_model_mirror=mirror)
    try:
        install_all(by_default(), found)
    except ModelError as error:
        missing(str(error))
    return found.models_folder.absolute()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with coco128/ and faces/: STAGELINE_TEST_DATA, or ../shared/data."""
    folder = Path(os.environ.get("STAGELINE_TEST_DATA", SHARED / "data"))
    if not (folder / "coco128").is_dir():
        missing(f"no pictures to test on at {folder}: set STAGELINE_TEST_DATA to a folder with coco128/ and faces/")
    return folder


@pytest.fixture
def settings(redis_server: RedisServer, tmp_path: Path, models_dir: Path) -> Settings:
    """Settings for the real Redis, emptied, and a folder as the bucket."""
    found = Settings(redis_url=redis_server.url, stageline_data=tmp_path / "data", models_dir=models_dir)
    Producer(found.redis_url, 1).client.flushall()
    return found


@pytest.fixture(params=["folder", "minio"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Each kind of object store, empty."""
    if request.param == "folder":
        found: ObjectStore = FolderStore(tmp_path / "bucket")
    else:
        server: MinioServer = request.getfixturevalue("minio_server")
        found = S3Store.from_settings(s3_settings(server, tmp_path.name[-20:].lower().replace("_", "-") + "-bucket"))
    found.check()
    for key in list(found.keys("")):
        found.delete(key)
    return found


@pytest.fixture
def start_line(tmp_path: Path, models_dir: Path) -> Iterator[Callable[..., RunningLine]]:
    """Start lines of processes with a given environment; whatever still runs is killed at the end."""
    started: list[RunningLine] = []

    def start(workers: dict[str, int] | None = None, **environment: str) -> RunningLine:
        line = RunningLine(tmp_path / f"line-{len(started)}", {"MODELS_DIR": str(models_dir), **environment}, workers)
        started.append(line)
        line.start()
        return line

    yield start
    for line in started:
        line.kill()


@pytest.fixture(params=["server on the PATH", "server in the wheel"])
def any_redis(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of each kind of server that a line may meet."""
    if request.param == "server on the PATH":
        server: RedisServer = request.getfixturevalue("redis_server")
        Producer(server.url, 1).client.flushall()
        yield server.url
        return
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nonexistent")
        try:
            program = embedded.binary()
        except SettingsError as error:
            missing(str(error))
    with served(RedisServer(tmp_path / "carried", program=program)) as carried:
        yield carried.url
