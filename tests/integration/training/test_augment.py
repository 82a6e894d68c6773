"""Augmentation: batches that seed and epoch decide, mirrored, shifted, with a square cut out."""

from typing import Any

import pytest

from models.training.recipe import Recipe
from tests.support.tiny_training import one_thread, some, tiny

__all__ = ["one_thread"]
pytestmark = pytest.mark.usefixtures("one_thread")


def epoch_of(found: Recipe, pixels: Any, epoch: int, outliers: int = 0) -> tuple[Any, Any]:
    import torch

    from models.training import augment

    parts = list(augment.batches(pixels, torch.arange(len(pixels)), found, epoch, outliers))
    return torch.cat([batch for batch, _ in parts]), torch.cat([labels for _, labels in parts])


def test_batches_are_decided_by_seed_and_epoch() -> None:
    """Twice the same, another epoch or seed another; sized as the recipe says; a last, smaller batch is left out."""
    import torch

    pixels, found = torch.from_numpy(some(20).pixels).permute(0, 3, 1, 2), tiny(shift=2, cutout=4)
    first, order = epoch_of(found, pixels, 0)
    assert first.shape == (16, 3, 8, 8)
    assert len(set(order.tolist())) == 16
    assert torch.equal(first, epoch_of(found, pixels, 0)[0])
    assert epoch_of(found, pixels, 2)[0].shape == (16, 3, 16, 16)
    assert order.tolist() != epoch_of(found, pixels, 1)[1].tolist()
    assert order.tolist() != epoch_of(tiny(shift=2, cutout=4, seed=9), pixels, 0)[1].tolist()


def test_outliers_come_in_from_their_epoch_on_some_others_each_time() -> None:
    """As many as the recipe's share of the pictures, beside all of these; none before; none twice in an epoch."""
    import torch

    from models.training import augment

    pixels = torch.from_numpy(some(30).pixels).permute(0, 3, 1, 2)
    found = tiny(outlier_share=0.25, outliers_from=1, batch_size=4, shift=0, cutout=0)
    drawn = []
    for epoch, count in ((0, 0), (1, 4), (2, 4)):
        _, order = epoch_of(found, pixels, epoch, outliers=14)
        assert augment.steps_of(16, 14, found, epoch) * 4 == len(order) == 16 + count
        assert len(set(order.tolist())) == 16 + count
        assert set(range(16)) <= set(order.tolist())
        drawn.append({place for place in order.tolist() if place >= 16})
    assert len(drawn[1] & drawn[2]) < 4


def test_a_picture_is_mirrored_in_every_other_epoch() -> None:
    """Of two epochs that follow each other, each picture is as it was in the one, and mirrored in the other."""
    import torch

    pixels = torch.from_numpy(some(64).pixels).permute(0, 3, 1, 2)
    found, turned = tiny(shift=0, cutout=0, sizes=[(0, 32)]), []
    for epoch in (0, 1):
        batch, order = epoch_of(found, pixels, epoch)
        original = pixels[order].float()
        same = (batch == original).flatten(1).all(1)
        assert (same ^ (batch == original.flip(3)).flatten(1).all(1)).all()
        turned.append(~same[order.argsort()])
    assert torch.equal(turned[0], ~turned[1])
    assert 16 < int(turned[0].sum()) < 48


def test_a_shift_moves_a_picture_whole() -> None:
    """A bright pixel away from the border stays in the picture, by at most so many pixels elsewhere."""
    import torch

    pixels = torch.zeros(200, 3, 32, 32, dtype=torch.uint8)
    pixels[:, :, 16, 15] = 255
    batch, _ = epoch_of(tiny(shift=3, cutout=0, sizes=[(0, 32)]), pixels, 0)
    assert (batch[:, 0].sum(dim=(1, 2)) == 255).all()
    rows, columns = (batch[:, 0].amax(dim=axis).argmax(1) for axis in (2, 1))
    assert set((rows - 16).tolist()) == set(range(-3, 4))
    assert set(columns.tolist()) == set(range(12, 20))  # 15, or 16 where it is mirrored


def test_a_cutout_greys_one_square() -> None:
    """Its side is the recipe's, it lies whole in the picture, and not always in the same place."""
    import torch

    pixels = torch.zeros(64, 3, 32, 32, dtype=torch.uint8)
    batch, _ = epoch_of(tiny(shift=0, cutout=6, sizes=[(0, 32)]), pixels, 0)
    grey = batch == 127.5
    assert (grey.sum(dim=(1, 2, 3)) == 3 * 36).all()
    assert (grey[:, 0].any(dim=1).sum(dim=1) == 6).all()
    assert len({tuple(square.flatten().nonzero()[0].tolist()) for square in grey}) > 20


def test_pictures_are_mixed_with_their_labels_and_outliers_are_not() -> None:
    """Each picture that was mixed has two labels, by the share of the pixels; an outlier stays what it is."""
    import torch

    from models.training import augment

    pixels = torch.zeros((32, 3, 32, 32), dtype=torch.uint8)
    labels = torch.tensor([0] * 12 + [1] * 12 + [10] * 8)
    pixels[labels == 1] = 100
    pixels[labels == 10] = 200
    found = tiny(cutmix=1.0, batch_size=32, outlier_share=8 / 24, shift=0, sizes=[(0, 32)])
    for epoch in range(8):
        ((batch, wanted),) = augment.batches(pixels, labels, found, epoch, 8)
        assert torch.allclose(wanted.sum(1), torch.ones(32))
        none = wanted[:, 10] == 1
        assert int(none.sum()) == 8
        assert (batch[none] == 200).all()
        of_one = (batch[~none] == 100).float().mean((1, 2, 3))
        assert torch.allclose(of_one, wanted[~none, 1], atol=1e-5)
        assert not ((batch[~none] != 0) & (batch[~none] != 100)).any()


def test_colours_vary_and_stay_in_range() -> None:
    """By the recipe's share at most, around each picture's own; without it nothing changes."""
    import torch

    from models.training import augment

    pixels = torch.full((16, 3, 32, 32), 100, dtype=torch.uint8)
    ((plain, _),) = augment.batches(pixels, torch.arange(16) % 10, tiny(batch_size=16, sizes=[(0, 32)]), 0)
    ((batch, _),) = augment.batches(pixels, torch.arange(16) % 10, tiny(batch_size=16, sizes=[(0, 32)], colour=0.2), 0)
    assert (plain == 100).all()
    assert batch.std(0).max() > 1
    assert 79 < batch.min() < batch.max() < 121
