"""Archives that were cut off, damaged, or made to do harm: refused with a sentence, unwritten, in little memory."""

import io
import tarfile

import pytest

from stageline.maintenance.archive import IMAGES
from stageline.maintenance.unarchive import BadArchive
from tests.support.archive_makers import PICTURES, buckets, exported, imported


def test_a_cut_off_archive_is_no_archive(store, tmp_path) -> None:
    """Wherever it is cut off, even between two members, it is refused with a sentence that says so."""
    data = exported(buckets(store, tmp_path))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        offsets = [each.offset for each in archive]
    cuts = [*offsets[1:], *(offset + 300 for offset in offsets), *(offset + 513 for offset in offsets)]
    for cut in cuts:
        with pytest.raises(BadArchive, match="cut off"):
            imported({}, data[:cut])
    assert imported({}, data).counts[IMAGES].objects == len(PICTURES)
