"""Window 6: an original that is damaged in the store fails its own picture, and its key is named; the stage goes on.

The window: pictures wait in the line, and no worker runs, while the first one's original is damaged. There is no hot
cache, so the worker reads the damaged one.
"""

import io
import json
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from tests.chaos.deployment import BUCKET, Deployment
from tests.chaos.pictures import picture
from tests.chaos.rot import read, rot
from tests.chaos.windows import Broken, comes, opened, promised

WITHIN = 45.0  # seconds; three attempts take some six
SMALL, LARGE = "small", "over 8 megapixels"
pytestmark = pytest.mark.long


def large(number: int) -> bytes:
    """Return a JPEG of more than 8 megapixels and more than 2 MiB, so that MinIO keeps it in several pieces."""
    coarse = np.random.default_rng(number).integers(0, 256, (1200, 1300, 3), dtype=np.uint8)
    done, data = cv2.imencode(".jpg", cv2.resize(coarse, (3120, 2880)), [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done
    assert len(data) > 2 << 20
    return data.tobytes()


@pytest.fixture
def deployment(deploy: Callable[..., Deployment]) -> Deployment:
    """An API process, a store and no hot cache; the worker of resize is not started yet."""
    found = deploy(CACHE_URL="off")
    found.start("grab")
    return found


def uploaded(deployment: Deployment, first: bytes) -> tuple[str, str, list[str]]:
    """Upload this and others behind it, small and large; return its id, its original's key, and the others' ids."""
    image_id = deployment.api.take(first)
    others = [deployment.api.take(data) for data in (picture(1), picture(2), large(3), picture(4))]
    assert deployment.queue.llen("resize_queue") == 1 + len(others)
    return image_id, f"original/{image_id}.jpg", others


def assert_it_fails_and_the_others_go_on(deployment: Deployment, image_id: str, key: str, others: list[str]) -> None:
    """Start the worker; the picture fails with the key in its reason, in the status and in the dead letter."""
    deployment.services["resize"].start()
    opened(deployment.services["resize"].ready)
    queue, api = deployment.queue, deployment.api
    comes("the others go on to grayscale", lambda: queue.llen("grayscale_queue") >= len(others), WITHIN)
    went_on = len(others) + 1  # when the damaged one did, too
    comes(
        "the picture ends",
        lambda: api.status(image_id)["status"] == "failed" or queue.llen("grayscale_queue") == went_on,
        WITHIN,
    )
    promised("the picture fails", api.status(image_id)["status"] == "failed")
    promised(f"its reason names {key}", key in (api.status(image_id).get("reason") or ""))
    letters = queue.lrange("dead_letters", 0, -1)
    promised(
        "its dead letter names the key in its reason", [key in json.loads(each)["reason"] for each in letters] == [True]
    )
    promised("exactly the others went on", sorted(_ids(deployment, "resized/")) == sorted(others))


def _ids(deployment: Deployment, folder: str) -> list[str]:
    found = deployment.bucket.list_objects(BUCKET, prefix=folder, recursive=True)
    return [str(each.object_name).removeprefix(folder).removesuffix(".jpg") for each in found]


@pytest.mark.xfail(
    strict=True,
    raises=Broken,
    reason="MinIO answers 503, or breaks off, for the one damaged object; the worker takes that for a store that is "
    "away and asks for ever, so the picture never ends, and a large one, or one behind which a large one waits, "
    "stops the stage",
)
@pytest.mark.parametrize(
    ("size", "at"),
    [(SMALL, 1000), (LARGE, 1000), (LARGE, (1 << 20) + 1000)],
    ids=["small, kept in xl.meta", "large, in its first piece", "large, in its second piece"],
)
def test_bit_rot_that_the_store_notices(deployment: Deployment, size: str, at: int) -> None:
    """MinIO's own checksum is wrong: it refuses to read the object, or breaks off in the middle of it."""
    image_id, key, others = uploaded(deployment, picture(0) if size == SMALL else large(0))
    file = rot(deployment, key, at)
    assert (file.name == "xl.meta") == (size == SMALL)
    assert read(deployment, key) is None, "MinIO still gives the object"
    assert_it_fails_and_the_others_go_on(deployment, image_id, key, others)


def fails_today(reason: str) -> pytest.MarkDecorator:
    """Mark what breaks its promise today."""
    return pytest.mark.xfail(strict=True, raises=Broken, reason=reason)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(
            "no picture",
            marks=fails_today(
                "the reason and the dead letter say what is wrong with the bytes, and not of which object"
            ),
        ),
        pytest.param(
            "cut off",
            marks=fails_today(
                "only the API looks for damage: of a JPEG that is cut off the worker makes a picture that is half "
                "grey, and hands that on as if it were whole"
            ),
        ),
    ],
)
def test_damage_that_the_store_cannot_notice(deployment: Deployment, size: str, damage: str) -> None:
    """The object is whole to MinIO, but its bytes are no longer the picture that was uploaded."""
    data = picture(0) if size == SMALL else large(0)
    image_id, key, others = uploaded(deployment, data)
    damaged = bytes(len(data)) if damage == "no picture" else data[: len(data) // 2]
    deployment.bucket.put_object(BUCKET, key, io.BytesIO(damaged), len(damaged))
    assert read(deployment, key) == damaged
    assert_it_fails_and_the_others_go_on(deployment, image_id, key, others)
