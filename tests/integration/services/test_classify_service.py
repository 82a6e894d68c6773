"""The classify stage: what it adds to the message, from every kind of original, and with whichever models there are."""

from pathlib import Path

import numpy as np

from classify_service.crops import parts
from classify_service.faces import aligned
from stageline.pipeline.message import Message
from tests.support.classify_cases import LABELS
from tests.support.classify_helpers import SCALE, document, found, task, work
from tests.support.face_cases import FACES, read
from tests.support.tiny_embedder import by_hand, cells
from tests.support.tiny_models import colours


def test_the_message_says_what_was_found_and_by_what(data_dir: Path) -> None:
    """Categories of the picture and of its objects, references to embeddings, each with the model and its hash; the
    rest of the message as it was. What was stored holds the same, and the embeddings: 512 numbers of length 1.
    """
    name, box, landmarks = FACES[0]
    face = {"score": 0.99, "box": box, "landmarks": landmarks, "model": "mtcnn@1", "mood": "calm"}
    data = (data_dir / "faces" / name).read_bytes()
    given = task(data, detections=[found([0.0, 0.0, 1125.0, 300.0])], faces=[face], kind="object", missing_models=["x"])
    stage = work(colours(scale=SCALE), cells(), classify_min_confidence=0.0)
    assert stage.inputs(given.message) == {"original": "original/a.jpg"}
    (output,) = stage.run([given])
    assert output.objects[0].key == "findings/a.json"
    stamp = colours(scale=SCALE).card.stamp
    assert [item["box"] for item in output.fields["categories"]] == [None, [0.0, 0.0, 1125.0, 300.0]]
    for item in output.fields["categories"]:
        assert item.keys() == {"category", "confidence", "box", "model", "model_sha256"}
        assert (item["model"], item["model_sha256"]) == ("colours@1", stamp["model_sha256"])
        assert item["category"] in LABELS
        assert 1 / 3 <= item["confidence"] <= 1
    assert output.fields["faces"] == [{**face, "embedding": {"key": "findings/a.json", "index": 0}}]
    assert output.fields["missing_models"] == ["x"]
    assert output.fields.keys() == {"categories", "candidates", "faces", "missing_models"}
    stored = document(output)
    assert stored.keys() == {"image_id", "categories", "candidates", "faces", "missing_models"}
    assert (stored["image_id"], stored["categories"]) == ("a", output.fields["categories"])
    (embedded,) = stored["faces"]
    assert {**embedded, "embedding": ...} == {"box": box, "embedding": ..., **cells().card.stamp}
    bgr = read(data_dir, name)
    expected = by_hand(aligned(bgr, parts([face], 1125, 1612)[0][1], landmarks, (160, 160)))
    np.testing.assert_allclose(embedded["embedding"], expected, atol=1e-5)
    onward = Message.decode(given.message.successor("classify", {"state": "done"}, output.fields).raw)
    assert onward.fields["kind"] == "object"
