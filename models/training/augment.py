"""Batches of training pictures, made anew each epoch: mirrored, shifted, coloured, partly covered, and resized."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from models.training.cifar10 import LABELS
from models.training.recipe import Recipe


def steps_of(known: int, outliers: int, recipe: Recipe, epoch: int) -> int:
    """Return how many batches an epoch has."""
    return (known + _drawn(known, outliers, recipe, epoch)) // recipe.batch_size


def batches(
    pixels: Tensor, labels: Tensor, recipe: Recipe, epoch: int, outliers: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch's batches, in an order that the recipe's seed and the epoch fix.

    Args:
        pixels: uint8 [n, 3, 32, 32], on the device that trains.
        labels: int64 [n], or float32 [n, labels] to be learnt as probabilities.
        recipe: its batch size, sizes, and what it says of shifts, colours, cutout and CutMix are used.
        epoch: counted from 0.
        outliers: how many of the pictures, the last ones, are outliers: of these some are drawn for each epoch.

    Yields:
        float32 [batch, 3, size, size] in 0..255 and their labels, float32 [batch, labels] where pictures were mixed; a
        last, smaller batch is left out.
    """
    chance = torch.Generator().manual_seed(recipe.seed * 1000 + epoch)
    known = len(labels) - outliers
    pool = torch.arange(known)
    drawn = _drawn(known, outliers, recipe, epoch)
    if drawn:
        pool = torch.cat([pool, known + torch.randperm(outliers, generator=chance)[:drawn]])
    order = pool[torch.randperm(len(pool), generator=chance)].to(labels.device)
    # Each picture is mirrored in every other epoch: more even than by chance (Jordan 2024, arXiv:2404.00498).
    always = torch.Generator().manual_seed(recipe.seed)
    mirrored = torch.cat([torch.rand(count, generator=always) for count in (known, outliers)]) < 0.5  # noqa: PLR2004
    mirrored = mirrored.to(labels.device) ^ bool(epoch % 2)
    for chosen in order.split(recipe.batch_size):
        if len(chosen) == recipe.batch_size:
            batch = pixels[chosen].float()
            batch = torch.where(mirrored[chosen, None, None, None], batch.flip(3), batch)
            batch = _coloured(_shifted(batch, recipe.shift, chance), recipe.colour, chance)
            batch = _cut_out(batch, recipe.cutout, chance)
            batch, wanted = _mixed(batch, labels[chosen], recipe, chance)
            yield _resized(batch, recipe.size(epoch)), wanted


def _drawn(known: int, outliers: int, recipe: Recipe, epoch: int) -> int:
    """Return how many outliers an epoch has: the recipe's share of the known pictures, once it begins with them."""
    return min(outliers, round(recipe.outlier_share * known)) if epoch >= recipe.outliers_from else 0


def _shifted(batch: Tensor, most: int, chance: torch.Generator) -> Tensor:
    """Move each picture by up to `most` pixels both ways; what comes in at the border is mirrored."""
    side = batch.shape[-1]
    padded = functional.pad(batch, [most] * 4, mode="reflect")
    by = torch.randint(0, 2 * most + 1, (2, len(batch)), generator=chance).to(batch.device)
    rows, columns = (torch.arange(side, device=batch.device) + start[:, None] for start in by)
    each = torch.arange(len(batch), device=batch.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cut_out(batch: Tensor, side: int, chance: torch.Generator) -> Tensor:
    """Grey a square of that side in each picture (Cutout, arXiv:1708.04552)."""
    if not side:
        return batch
    size = batch.shape[-1]
    corner = torch.randint(0, size - side + 1, (2, len(batch), 1), generator=chance).to(batch.device)
    along = torch.arange(size, device=batch.device)
    inside = (along >= corner) & (along < corner + side)
    return batch.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 127.5)


def _coloured(batch: Tensor, most: float, chance: torch.Generator) -> Tensor:
    """Change each picture's brightness, contrast and saturation by a factor of 1 - `most` to 1 + `most` each."""
    if not most:
        return batch
    bright, contrast, colour = (1 + most * (2 * torch.rand((3, len(batch), 1, 1, 1), generator=chance) - 1)).to(
        batch.device
    )
    mean = batch.mean((1, 2, 3), keepdim=True)
    batch = (batch - mean) * contrast + mean * bright
    grey = batch.mean(1, keepdim=True)
    return (grey + (batch - grey) * colour).clamp(0, 255)


def _mixed(batch: Tensor, wanted: Tensor, recipe: Recipe, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paste a part of another picture into each, and have as much of its label learnt (CutMix, arXiv:1905.04899).

    The recipe says with which probability a batch is mixed. Outliers are not: part of one says nothing of the rest.
    """
    if float(torch.rand(1, generator=chance)) >= recipe.cutmix:
        return batch, wanted
    share, *centre = torch.rand(3, generator=chance).tolist()
    side = batch.shape[-1]
    spans = [
        (max(0, round(side * (at - share**0.5 / 2))), min(side, round(side * (at + share**0.5 / 2)))) for at in centre
    ]
    (top, bottom), (left, right) = spans
    other = torch.randperm(len(batch), generator=chance).to(batch.device)
    labels, known = probabilities(wanted, recipe)
    both = known & known[other]
    mixed = batch.clone()
    pasted = mixed[:, :, top:bottom, left:right]
    pasted.copy_(torch.where(both[:, None, None, None], batch[other][:, :, top:bottom, left:right], pasted))
    covered = (bottom - top) * (right - left) / side**2
    return mixed, torch.where(both[:, None], torch.lerp(labels, labels[other], covered), labels)


def probabilities(wanted: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Return labels as probabilities, float32 [n, labels], and which pictures are no outliers, bool [n].

    `wanted` is int64 [n], or probabilities already.
    """
    found = wanted if wanted.is_floating_point() else functional.one_hot(wanted, len(recipe.labels)).float()
    return found, found[:, len(LABELS) :].sum(1) < 1


def _resized(batch: Tensor, size: int) -> Tensor:
    if size != batch.shape[-1]:
        batch = functional.interpolate(batch, size=(size, size), mode="bilinear", antialias=True)
    return batch.contiguous(memory_format=torch.channels_last)
