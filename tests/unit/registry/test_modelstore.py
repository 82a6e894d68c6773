"""The model store: versions that never change, a pointer that does, and nothing taken on trust."""

import json

import pytest

from stageline.core.errors import ModelError
from stageline.registry.card import CARD, Card, made_of, read_card, read_folder, written
from tests.support.tiny_models import card, colour_network, colours


def test_a_card_of_another_model_is_refused() -> None:
    """A card that was copied into another folder says so."""
    with pytest.raises(ModelError, match="the card of colours@2 is that of colours@1"):
        read_card(written(colours().card), "colours", "2")


def test_a_card_says_what_findings_carry() -> None:
    """Name and version, and the hash of the network; of several networks, the hash of their list."""
    model = colours()
    assert model.card.stamp == {"model": "colours@1", "model_sha256": model.card.files["model.onnx"]}
    several = made_of(card(), {"a.onnx": b"a", "b.onnx": b"b"})
    listed = "".join(f"{digest}  {name}\n" for name, digest in several.card.files.items()).encode()
    from hashlib import sha256

    assert several.card.sha256 == sha256(listed).hexdigest()


def test_a_folder_of_ones_own_needs_no_hashes(tmp_path) -> None:
    """They are computed; stated ones are held against the files."""
    (tmp_path / "model.onnx").write_bytes(colour_network())
    (tmp_path / CARD).write_text(json.dumps(card()))
    assert read_folder(tmp_path) == colours()
    (tmp_path / CARD).write_text(json.dumps({**card(), "files": {"model.onnx": "0" * 64}, "sha256": "0" * 64}))
    with pytest.raises(ModelError, match=r"the hashes in the card are not those of model\.onnx"):
        read_folder(tmp_path)


@pytest.mark.parametrize(("text", "says"), [(None, "cannot be read"), ("[]", "a JSON object"), ("{", "cannot be read")])
def test_a_folder_without_a_card_says_so(text, says, tmp_path) -> None:
    """A missing card, and one that is no JSON object."""
    (tmp_path / "model.onnx").write_bytes(colour_network())
    if text is not None:
        (tmp_path / CARD).write_text(text)
    with pytest.raises(ModelError, match=says):
        read_folder(tmp_path)


def test_a_card_is_written_as_it_is_read() -> None:
    """Nothing is lost on the way to the store and back."""
    found: Card = colours().card
    assert read_card(written(found), found.name, found.version) == found
