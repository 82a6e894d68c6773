"""Publish networks with random weights where the real ones are not ours to pass on: they cost the same to compute.

    python -m benchmarks.random_models MODELS_FOLDER [NAME …]
    MODELS_DIR=MODELS_FOLDER stageline bench models

Each goes through its own converter (models/manifest.toml) and is served as version "random". Needs the `train` extra.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from stageline.core.errors import StagelineError
from stageline.core.settings import Settings
from stageline.registry.card import NETWORK, Card, made_of
from stageline.registry.install import manifest
from stageline.registry.repository import open_repository

VERSION = "random"
BACKGROUND = 9.5  # with this logit for "nothing", SSDlite finds as few boxes as in an ordinary picture


def networks() -> Mapping[str, Callable[[], Any]]:
    """Return the builder of each network, by the manifest's name. Raises ImportError without torch."""
    from facenet_pytorch import InceptionResnetV1
    from torchvision import models

    return {
        "facenet-vggface2": InceptionResnetV1,
        "resnet18-imagenet": models.resnet18,
        "mobilenet-v2-imagenet": models.mobilenet_v2,
        "squeezenet1_1-imagenet": models.squeezenet1_1,
        "ssdlite320-mobilenet-v3": _ssdlite,
    }


def _ssdlite() -> Any:
    from torchvision.models import detection

    classes = 91
    network = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=classes)
    for head in network.head.classification_head.module_list:
        head[-1].bias.data.view(-1, classes)[:, 0] = BACKGROUND
    return network


def publish(name: str, network: Any, folder: Path) -> Card:
    """Convert a network like one with its real weights, and serve it from `folder`."""
    import torch

    entry, repository = manifest()[name], open_repository(Settings(models_dir=folder))
    module, function = entry["convert"].split(":")
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "weights.pth"
        torch.save(network.state_dict(), source)
        more = getattr(import_module(module), function)(source, Path(scratch)) or {}
        onnx = (Path(scratch) / NETWORK).read_bytes()
    known = {key: value for key, value in entry.items() if key in Card.model_fields and key != "sha256"}
    fields = {**known, **more, "name": name, "version": VERSION, "notes": "Random weights: only for measuring speed."}
    model = made_of(fields, {NETWORK: onnx})
    repository.publish(model)
    repository.promote(name, VERSION)
    return model.card


def main() -> int:
    """Publish all of them; return 0, or 2 if something is missing."""
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.random_models", description=about)
    parser.add_argument("folder", type=Path, metavar="MODELS_FOLDER")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which, by the manifest's names; all, without")
    given = parser.parse_args()
    try:
        import torch

        torch.manual_seed(0)
        for name, build in networks().items():
            if name in (given.names or [name]):
                print(publish(name, build(), given.folder).reference, flush=True)
    except (ImportError, StagelineError) as error:
        print(f"{error}: this needs the `train` extra", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
