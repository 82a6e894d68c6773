"""Classifying crops: fed strictly by the card, together as one by one, and no network that is not its card's."""

from pathlib import Path

import numpy as np

from classify_service import preprocessing
from stageline.registry.card import Preprocessing
from tests.support.places import missing


def test_the_middle_is_torchvisions_on_real_pictures(data_dir: Path) -> None:
    """Much nearer to what torchvision cuts than a pixel's shift would be, of wide pictures and of tall ones."""
    try:
        from torchvision import transforms
    except ImportError as error:
        missing(f"{error}: the comparison needs torchvision (`make test TRAIN=1`)")
    from PIL import Image

    theirs = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    for path in sorted((data_dir / "coco128" / "images").iterdir())[:8]:
        picture = Image.open(path).convert("RGB")
        expected = np.asarray(theirs(picture))[:, :, ::-1].astype(float)
        found = preprocessing.fitted(np.asarray(picture)[:, :, ::-1], (224, 224), Preprocessing(fit="crop", resize=256))
        for axis in (0, 1):
            shifted = np.abs(np.roll(expected, 1, axis) - expected).mean()
            assert np.abs(found - expected).mean() < 0.25 * shifted, path.name
