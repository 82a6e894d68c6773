"""Archives that were cut off, damaged, or made to do harm: refused with a sentence, unwritten, in little memory."""

import io
import tarfile
import tracemalloc
from collections.abc import Callable
from typing import NamedTuple

import pytest

from stageline.maintenance.archive import IMAGES, LAST, MODELS
from stageline.maintenance.unarchive import BadArchive
from stageline.store import FolderStore
from tests.support.archive_makers import (
    block,
    headers_for_all,
    headers_of_headers,
    holes,
    huge,
    imported,
    member,
    old_holes,
    sized,
)

PICTURE = "images/original/a.jpg"
PLACES = "members are images/<folder>/<name>"
KIND = "header is of the type"
PLAIN = "refused: an archive of buckets holds plain files"
MANY = "a header of a header"
MEMORY = 500_000


class Hostile(NamedTuple):
    """An archive, and what is said of it."""

    make: Callable[[], bytes]
    said: str


HOSTILE = {
    "above": Hostile(lambda: member("images/original/../../../secret"), PLACES),
    "above, at once": Hostile(lambda: member("../secret"), PLACES),
    "the folder itself": Hostile(lambda: member("images/original/."), PLACES),
    "absolute": Hostile(lambda: member("/images/original/a.jpg"), PLACES),
    "absolute below": Hostile(lambda: member("images//original/a.jpg"), PLACES),
    "another bucket": Hostile(lambda: member("theirs/original/a.jpg"), PLACES),
    "another folder": Hostile(lambda: member("images/secrets/a.jpg"), PLACES),
    "no folder": Hostile(lambda: member("images/a.jpg"), PLACES),
    "a line's end": Hostile(lambda: member("images/original/a\n.jpg"), PLACES),
    "a backslash": Hostile(lambda: member("images/original/..\\a.jpg"), PLACES),
    "a model above": Hostile(lambda: member("models/../1/model.onnx"), PLACES),
    "a model's folder": Hostile(lambda: member("models/m/1/2/model.onnx"), PLACES),
    "a folder": Hostile(lambda: member("images/original", b"", type=tarfile.DIRTYPE), KIND),
    "a link": Hostile(lambda: member(PICTURE, b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"), KIND),
    "a hard link": Hostile(lambda: member(PICTURE, b"", type=tarfile.LNKTYPE, linkname="images/original/b.jpg"), KIND),
    "a device": Hostile(lambda: member(PICTURE, b"", type=tarfile.CHRTYPE), KIND),
    "of no known kind": Hostile(lambda: member(PICTURE, type=b"Z"), KIND),
    "too large a header": Hostile(lambda: member("images/original/" + "x" * 9000), "a header of 90"),
    "much too large a header": Hostile(lambda: member("images/original/" + "x" * 2_000_000), "a header of 20"),
    "a negative header": Hostile(lambda: block(tarfile.XHDTYPE, b"", -1) + member(PICTURE), "a header of -1 bytes"),
    "too large": Hostile(lambda: huge(PICTURE, 256 * 1024**2 + 1), "268435457 bytes, and at most 268435456 are"),
    "too large a model": Hostile(lambda: huge("models/m/1/model.onnx", 1024**3 + 1), "at most 1073741824 are"),
    "too large an end": Hostile(lambda: huge(LAST, 65537), "at most 65536 are taken"),
    "negative": Hostile(lambda: member(PICTURE, pax_headers={"size": "-1"}), "it has -1 bytes"),
    "of few holes": Hostile(
        lambda: member(PICTURE, pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"}), PLAIN
    ),
    "of strange holes": Hostile(lambda: member(PICTURE, pax_headers={"GNU.sparse.map": "x"}), "damaged"),
    "of many holes": Hostile(lambda: holes(200_000), PLAIN),
    "of many old holes": Hostile(lambda: old_holes(100_000), KIND),
    "headers for all": Hostile(lambda: headers_for_all(20), KIND),
    "small headers for all": Hostile(lambda: headers_for_all(500, 50), KIND),
    "headers of headers": Hostile(lambda: headers_of_headers(200), MANY),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused(tmp_path, name: str) -> None:
    """Whatever is slipped in, a sentence names it, memory stays free, and nothing is written anywhere."""
    stores = {bucket: FolderStore(tmp_path / "to" / bucket) for bucket in (IMAGES, MODELS)}
    data = HOSTILE[name].make()
    tracemalloc.start()
    try:
        with pytest.raises(BadArchive, match=HOSTILE[name].said):
            imported(stores, data)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_other_programs_are_taken(tmp_path, form: int) -> None:
    """What was unpacked and packed again, with long names as each format has them, is as good."""
    name = f"images/original/{'x' * 60}/{'y' * 60}.jpg"
    end = b'{"format": 1, "images": {"objects": 1, "bytes": 1}}'
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=form) as archive:
        archive.addfile(sized(name, 1), io.BytesIO(b"x"))
        archive.addfile(sized(LAST, len(end)), io.BytesIO(end))
    target = FolderStore(tmp_path)
    imported({IMAGES: target}, output.getvalue())
    assert target.get(name.removeprefix("images/")) == b"x"


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (b"[" * 60_000, "not what"),
        (b"{}", "not what"),
        (b'"x"', "not what"),
        (b'{"format": 2}', "newer"),
        (b'{"format": 1, "images": {"objects": 2, "bytes": 1}}', "not whole"),
        (b'{"format": 1, "images": 7}', "not whole"),
    ],
)
def test_an_end_that_does_not_fit_is_refused(end: bytes, words: str) -> None:
    """What the end counts must be what came; no end, however strange, is more than an error with a sentence."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, data in (("images/original/a.jpg", b"x"), (LAST, end)):
            archive.addfile(sized(name, len(data)), io.BytesIO(data))
    with pytest.raises(BadArchive, match=words):
        imported({}, output.getvalue())


@pytest.mark.parametrize("data", [b"", b"no tar at all", b"\x1f\x8b" + b"x" * 2000, b"x" * 100_000, bytes(2048)])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    """Nothing, text, what is compressed, and an empty archive."""
    with pytest.raises(BadArchive, match=r"damaged or cut off|cut off or damaged"):
        imported({}, data)


def test_nothing_comes_after_the_end() -> None:
    """A member behind the end is not read as if it belonged to it."""
    output = io.BytesIO(member("images/original/a.jpg"))
    with tarfile.open(fileobj=output, mode="a") as archive:
        archive.addfile(tarfile.TarInfo("images/original/b.jpg"))
    with pytest.raises(BadArchive, match="goes on"):
        imported({}, output.getvalue())
