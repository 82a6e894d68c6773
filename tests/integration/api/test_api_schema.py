"""The API is what its description says: schemathesis asks it everything, on real servers, and finds nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as how
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks

from grab_service.api import connections
from grab_service.http import openapi
from grab_service.http.app import create_app
from grab_service.images import face_search
from grab_service.line.intake import Intake, Wanted
from stageline.broker.keys import OUTCOMES
from stageline.catalogue.engine import open_engine
from stageline.catalogue.migrate import migrate
from stageline.catalogue.writer import Writer
from stageline.core.settings import Settings
from stageline.local import monolith
from stageline.pipeline import results
from stageline.registry.repository import Repository
from stageline.store import FolderStore, open_store
from tests.support.picture_makers import all_kinds
from tests.support.servers import MinioServer, PostgresServer, RedisServer
from tests.support.serving import served
from tests.support.tiny_embedder import cells

EXAMPLE = "01JD3Y5ZV5T0K8Q1Z2X3C4V5B6"  # the picture that the description speaks of is there
LOOKS = "/faces/search"  # a picture that is sent there goes down the line, and here it has no workers: a 503
CHECKS = [
    checks.not_a_server_error, openapi_checks.status_code_conformance, openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance, openapi_checks.response_schema_conformance,
]  # fmt: skip


@pytest.fixture(scope="module")
def api_schema(
    tmp_path_factory: pytest.TempPathFactory, models_dir: Path, data_dir: Path
) -> Iterator[schemathesis.BaseSchema]:
    """The description of an API process on real servers, where a picture has come to its end."""
    folder, patch = tmp_path_factory.mktemp("schema"), pytest.MonkeyPatch()
    for name in Settings.model_fields:
        patch.delenv(name.upper(), raising=False)
    with (
        served(RedisServer(folder / "redis")) as redis,
        served(MinioServer(folder / "minio")) as minio,
        served(PostgresServer(folder / "postgres")) as postgres,
    ):
        found = Settings(
            redis_url=redis.url, database_url=postgres.create_database("catalogue"), models_dir=folder / "models",
            minio_endpoint=minio.endpoint, minio_access_key=minio.access_key, minio_secret_key=minio.secret_key,
            stageline_data=folder, max_queue_size=1_000_000, max_upload_bytes=1_000_000,
        )  # fmt: skip
        repository = Repository(FolderStore(folder / "models"))
        repository.publish(cells())
        repository.promote("facenet-vggface2", "1")
        intake = Intake(open_store(found), found)
        intake.store.check()
        migrate(open_engine(found))
        _send_through(intake, found.model_copy(update={"models_dir": models_dir}), data_dir)
        app = create_app(found, intake)
        patch.setattr(connections.STOPPING, "is_set", lambda: True)  # what would go on for ever ends at once
        patch.setattr(face_search, "PROBE_SECONDS", 0.0)
        yield schemathesis.openapi.from_wsgi("/openapi.json", app)
        patch.undo()


def _send_through(intake: Intake, found: Settings, data_dir: Path) -> None:
    """Take the example's picture in, do the line's work on it, and have the catalogue write it down."""
    data = (data_dir / "faces" / "paul_rudd.jpg").read_bytes()
    intake.accept(data, "street.jpg", "", Wanted(image_id=EXAMPLE, batch_id=EXAMPLE))
    intake.accept(all_kinds()["jpeg"], "moves.jpg", "", Wanted(batch_id=EXAMPLE))
    message, made = monolith.Monolith(found).run(data, "street.jpg")
    for item in made.values():
        intake.store.put(item)
    ours = {**message.fields, "image_id": EXAMPLE, "original_path": f"original/{EXAMPLE}.jpg"}
    document = results.document(message.of(ours), "completed")
    intake.store.put(results.stored(document))
    intake.client.delete(f"stageline:status:{EXAMPLE}")
    Writer(open_engine(found), intake.store, 0).apply(intake.client.lrange(OUTCOMES, 0, -1))


def _operations() -> list[tuple[str, str]]:
    """Every path and method that the description has; to say so takes no server."""
    with TemporaryDirectory() as folder:
        found = Settings(stageline_data=Path(folder))
        paths = openapi.describe(create_app(found, Intake(open_store(found), found)))["paths"]
    found = [(path, method) for path, operations in paths.items() for method in operations]
    return sorted(found, key=lambda operation: operation[1] == "delete")  # which may well meet the example


@pytest.mark.parametrize(("path", "method"), _operations())
def test_the_api_is_what_it_says(path: str, method: str, api_schema: schemathesis.BaseSchema) -> None:
    """No 5xx, no status, type or body that the description does not have: of anything, and of what there is."""
    operation = api_schema[path][method]
    wanted = [check for check in CHECKS if path != LOOKS or check is not checks.not_a_server_error]

    @how(
        max_examples=40, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(operation.as_strategy() | operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
    def ask(case: schemathesis.Case) -> None:
        answer = case.call_and_validate(checks=wanted)
        assert answer.status_code < 500 or (path, answer.status_code) == (LOOKS, 503)

    ask()
    if method == "get":
        known = {"image_id": EXAMPLE, "batch_id": EXAMPLE, "task_id": f"{EXAMPLE}.1"}
        case = operation.Case(path_parameters={name: known[name] for name in re.findall(r"{(\w+)}", path)})
        assert case.call_and_validate(checks=CHECKS).status_code == 200


def test_the_description_is_there_to_be_read(api_schema: schemathesis.BaseSchema) -> None:
    """As OpenAPI 3.1, and as a page that loads nothing from elsewhere."""
    client = api_schema.app.test_client()
    spec = client.get("/openapi.json").get_json()
    assert spec["openapi"].startswith("3.1.")
    assert len(spec["paths"]) >= 20
    for path in ("/docs", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/start.js"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "'none'" in answer.headers["Content-Security-Policy"]
        assert b"cdn" not in answer.data[:2000]
