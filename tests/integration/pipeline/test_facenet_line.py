"""FaceNet on a running line: from a file of weights, through its converter, to embeddings, rows and nearest faces.

The published weights are not to be had where the tests run: random ones of the same names and shapes stand for them.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classify_service.crops import parts
from classify_service.faces import aligned
from grab_service.api.schemas.line import Faces
from stageline.broker.redis_client import connect
from stageline.catalogue import Catalogue, open_engine
from stageline.core.settings import Settings
from stageline.imaging import codec
from stageline.inference import FloatArray
from stageline.registry.card import ModelFiles
from stageline.registry.install import manifest
from stageline.registry.repository import Repository, open_repository
from stageline.store import FolderStore, ObjectStore, S3Store
from tests.support.api_line import Api
from tests.support.catalogue_makers import dump
from tests.support.running_line import RunningLine
from tests.support.servers import MinioServer, PostgresServer, RedisServer
from tests.support.torch_networks import saved, settled

pytest_plugins = ("tests.support.convert_fixtures",)
FACENET = "facenet-vggface2"
ONE, SEVERAL = "kate_siegel.jpg", "multiface.jpg"  # faces that are embedded from the original's own pixels
JSON_BODY = {"Content-Type": "application/json"}
Install = Callable[[str, bytes], ModelFiles]
Embed = Callable[[FloatArray], FloatArray]


@pytest.fixture
def facenet(torch: Any, faces: FloatArray, install_from: Install) -> tuple[ModelFiles, Embed]:
    """InceptionResnetV1 as its file of weights becomes a model, and what facenet-pytorch itself computes by them."""
    from facenet_pytorch import InceptionResnetV1, fixed_image_standardization

    def standardised(rgb: FloatArray) -> Any:
        return fixed_image_standardization(torch.from_numpy(rgb))

    def embed(rgb: FloatArray) -> FloatArray:
        with torch.inference_mode():
            return np.asarray(network(standardised(rgb)).numpy(), np.float32)

    network = settled(torch, InceptionResnetV1(dropout_prob=0), standardised(faces))
    logits = {"logits.weight": torch.zeros(8631, 512), "logits.bias": torch.zeros(8631)}
    weights = saved(torch, {**network.state_dict(), **logits}, _use_new_zipfile_serialization=False)
    assert abs(len(weights) - manifest()[FACENET]["bytes"]) < 100_000, "not the published file's names and shapes"
    return install_from(FACENET, weights), embed


class FaceLine:
    """A line on a real Redis, MinIO and PostgreSQL, whose models are in MinIO."""

    def __init__(
        self, folder: Path, servers: tuple[RedisServer, MinioServer, PostgresServer], models_dir: Path
    ) -> None:
        redis, minio, postgres = servers
        connect(redis.url).flushall()
        environment = {
            "REDIS_URL": redis.url, "DATABASE_URL": postgres.create_database("faces"), "CACHE_URL": "off",
            "MINIO_ENDPOINT": minio.endpoint, "MINIO_ACCESS_KEY": minio.access_key,
            "MINIO_SECRET_KEY": minio.secret_key, "S3_BUCKET": "facenet-pictures", "MODELS_BUCKET": "facenet-models",
            "DEVICE": "cpu", "INFERENCE_PRECISION": "float32",
        }  # fmt: skip
        settings = Settings(**{name.lower(): value for name, value in environment.items()})  # type: ignore[arg-type]
        self.running = RunningLine(folder, environment)
        self.engine = open_engine(settings)
        self.api = Api(f"http://127.0.0.1:{self.running.port}", Catalogue(self.engine))
        self.store: ObjectStore = S3Store.from_settings(settings)
        self.models = open_repository(settings)
        self.models.check()
        bundled = Repository(FolderStore(models_dir))
        for name in bundled.versions():
            pointer = bundled.pointer(name)
            if pointer is not None:
                self.serve(bundled.load(name, pointer.version))

    def serve(self, model: ModelFiles) -> None:
        """Publish a model, and have it served."""
        self.models.publish(model)
        self.models.promote(model.card.name, model.card.version)

    def results(self, data: bytes, name: str) -> dict[str, Any]:
        """Upload a picture; return its results once the catalogue has them."""
        image_id = self.api.upload(data, name)["image_id"]
        self.api.catalogued(image_id)
        found: dict[str, Any] = self.api.ended(image_id)["results"]
        return found

    def search(self, path: str = "", **more: Any) -> dict[str, Any]:
        """Ask for the nearest faces."""
        found: dict[str, Any] = self.api.ok("POST", f"/faces/search{path}", Faces, **more)
        return found


@pytest.fixture
def line(
    tmp_path: Path, redis_server: RedisServer, minio_server: MinioServer, postgres_server: PostgresServer,
    models_dir: Path,
) -> Iterator[FaceLine]:  # fmt: skip
    """A line that is not started."""
    found = FaceLine(tmp_path / "line", (redis_server, minio_server, postgres_server), models_dir)
    yield found
    found.running.kill()
    found.engine.dispose()


def crops(picture: bytes, faces: list[dict[str, Any]]) -> FloatArray:
    """Faces as FaceNet is given them, RGB 0..255, float32 [n, 3, 160, 160]."""
    bgr, info = codec.decode(picture, 50_000_000)
    cut = [
        aligned(bgr, span, faces[index]["landmarks"], (160, 160))
        for index, span in parts(faces, info.width, info.height)
    ]
    return np.ascontiguousarray(np.stack(cut)[:, :, :, ::-1].transpose(0, 3, 1, 2), np.float32)


def test_faces_are_embedded_by_facenet_and_found_again(
    facenet: tuple[ModelFiles, Embed], line: FaceLine, data_dir: Path
) -> None:
    """The numbers in findings/ and in the catalogue are facenet-pytorch's own, and the search goes by them."""
    model, embed = facenet
    line.serve(model)
    line.running.start()
    pictures = {name: (data_dir / "faces" / name).read_bytes() for name in (ONE, SEVERAL)}
    results = {name: line.results(data, name) for name, data in pictures.items()}
    found = {name: embeddings(line, said, model) for name, said in results.items()}
    for name, said in results.items():
        assert (said["kind"], said.get("missing_models") or []) == ("face", [])
        np.testing.assert_allclose(found[name], embed(crops(pictures[name], said["faces"])), atol=1e-4)
    (one,), several = found[ONE], found[SEVERAL]
    assert len(several) > 1
    similar = several @ one
    assert np.ptp(similar) > 0.01, "the faces must differ, or the order shows nothing"

    said = line.search(body=json.dumps({"image_id": results[ONE]["image_id"]}), headers=JSON_BODY)

    assert said["model"] == model.card.reference
    order = np.argsort(-similar).tolist()
    assert [(each["image_id"], each["face"]) for each in said["faces"]] == [
        (results[SEVERAL]["image_id"], face) for face in order[:10]
    ]
    np.testing.assert_allclose([each["similarity"] for each in said["faces"]], similar[order[:10]], atol=1e-4)
    (nearest,) = line.search(path="?limit=1", fields={"image": ("again.jpg", pictures[ONE])})["faces"]
    assert (nearest["image_id"], nearest["face"]) == (results[ONE]["image_id"], 0)
    assert nearest["similarity"] > 0.999


def embeddings(line: FaceLine, said: dict[str, Any], model: ModelFiles) -> FloatArray:
    """A picture's embeddings, [faces, 512]: findings/ and the catalogue have them alike, and name their model."""
    image_id = said["image_id"]
    kept = json.loads(line.store.get(f"findings/{image_id}.json"))["faces"]
    assert [face["embedding"] for face in said["faces"]] == [
        {"key": f"findings/{image_id}.json", "index": index} for index in range(len(kept))
    ]
    assert {(face["model"], face["model_sha256"]) for face in kept} == {(model.card.reference, model.card.sha256)}
    found = np.array([face["embedding"] for face in kept], np.float32)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4)
    rows = [row for row in dump(line.engine)["faces"] if row["image_key"] == image_id]
    np.testing.assert_array_equal([np.frombuffer(row["embedding"], "<f4") for row in rows], found)
    assert {row["embedding_model"] for row in rows} == {model.card.reference}
    return found
