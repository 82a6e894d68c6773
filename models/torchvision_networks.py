"""Torchvision's networks, from their published weights to ONNX. Needs the `train` extra.

Each converter takes the .pth file that torchvision itself downloads, and returns the labels for the card. All inputs
are RGB of 0..255: what each network wants of them (mean and deviation of ImageNet's colours, from the weights'
``transforms`` in torchvision) is its first layer.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.torch_export import export, fill, load_weights, needed, on_pixels
from stageline.registry.card import NETWORK

SIDE = 224  # pixels
SSD_SIDE = 320
SSD_LEAST_SCORE = 0.01  # torchvision's 0.001 compares thousands of useless boxes
NO_LABEL = ("__background__", "N/A")  # how torchvision names COCO's number 0, and the gaps in its numbers


def resnet18(source: Path, folder: Path) -> Mapping[str, Any]:
    """Convert ResNet18_Weights.IMAGENET1K_V1; see `_classifier`."""
    return _classifier("resnet18", "ResNet18_Weights.IMAGENET1K_V1", source, folder)


def mobilenet_v2(source: Path, folder: Path) -> Mapping[str, Any]:
    """Convert MobileNet_V2_Weights.IMAGENET1K_V2; see `_classifier`."""
    return _classifier("mobilenet_v2", "MobileNet_V2_Weights.IMAGENET1K_V2", source, folder)


def squeezenet1_1(source: Path, folder: Path) -> Mapping[str, Any]:
    """Convert SqueezeNet1_1_Weights.IMAGENET1K_V1; see `_classifier`."""
    return _classifier("squeezenet1_1", "SqueezeNet1_1_Weights.IMAGENET1K_V1", source, folder)


def ssdlite320_mobilenet_v3_large(source: Path, folder: Path) -> Mapping[str, Any]:
    """Convert SSDLite320_MobileNet_V3_Large_Weights.COCO_V1.

    Writes folder/model.onnx: ``pixels`` float32 [1, 3, 320, 320] to ``boxes`` [n, 4] in pixels of that, ``scores`` [n]
    and ``labels`` [n], counted from 1, as detect_service/adapters.py reads them; at most 300, none below 0.01.

    Raises:
        ModelError: torch or torchvision is missing, or the file does not hold these weights.
    """
    torch, detection = needed("torch"), needed("torchvision.models.detection")
    labels = detection.SSDLite320_MobileNet_V3_Large_Weights.COCO_V1.meta["categories"]
    network = detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=len(labels), score_thresh=SSD_LEAST_SCORE
    )
    fill(network, load_weights(source))

    class OnePicture(torch.nn.Module):  # type: ignore[misc, name-defined]
        """Takes a batch of one, where torchvision takes a list of pictures and gives one of dictionaries."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pixels: Any) -> tuple[Any, Any, Any]:
            (found,) = self.network([pixels[0] / 255])
            return found["boxes"], found["scores"], found["labels"]

    outputs = {"boxes": ["n"], "scores": ["n"], "labels": ["n"]}
    export(OnePicture().eval(), (1, 3, SSD_SIDE, SSD_SIDE), outputs, folder / NETWORK)
    return {"labels": ["" if label in NO_LABEL else label for label in labels]}


def _classifier(architecture: str, weights_name: str, source: Path, folder: Path) -> Mapping[str, Any]:
    """Write folder/model.onnx: ``pixels`` float32 [batch, 3, 224, 224] to ``logits`` [batch, 1000].

    Raises:
        ModelError: torch or torchvision is missing, or the file does not hold these weights.
    """
    models = needed("torchvision.models")
    published = models.get_weight(weights_name)
    wanted = published.transforms()
    network = fill(models.get_model(architecture, weights=None), load_weights(source))
    mean, std = ([255 * value for value in values] for values in (wanted.mean, wanted.std))
    export(on_pixels(network, mean, std), (2, 3, SIDE, SIDE), {"logits": ["batch"]}, folder / NETWORK)
    return {"labels": list(published.meta["categories"])}
