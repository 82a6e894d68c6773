"""The two architectures, as in torchvision except for the stem, which is for pictures of 32×32."""

from typing import Any

import torch
from torch import nn
from torchvision import models


def build(architecture: str, labels: int) -> nn.Module:
    """Return the network, with random weights; it takes float [n, 3, h, w] and gives logits [n, labels].

    Raises:
        KeyError: no architecture is called that.
    """
    return {"resnet18": _resnet18, "squeezenet1_1": _squeezenet}[architecture](labels)


def _resnet18(labels: int) -> nn.Module:
    """ResNet18 in its CIFAR variant: a 3×3 stem of stride 1 and no max pooling (He et al. 2015, section 4.2)."""
    network = models.resnet18(num_classes=labels)
    network.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network


def _squeezenet(labels: int) -> nn.Module:
    """SqueezeNet 1.1 whose stem keeps the resolution, and which is trained with batch normalisation.

    SqueezeNet has none, and learns slowly without. `fold_batch_norm` multiplies it into the convolutions
    afterwards, so that what is served is SqueezeNet 1.1, layer for layer.
    """
    network = models.squeezenet1_1(num_classes=labels, dropout=0.0)  # small: it underfits, and need not be held back
    network.features[0] = nn.Conv2d(3, 64, 3, stride=1, padding=1)
    network.features[2] = nn.Identity()
    for fire in network.features:
        for name, layer in list(fire.named_children()):
            if isinstance(layer, nn.Conv2d):
                setattr(fire, name, _normalised(layer))
    network.features[0] = _normalised(network.features[0])
    nn.init.kaiming_normal_(network.classifier[1].weight)
    return network


def _normalised(layer: Any) -> nn.Module:
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels))


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Multiply each batch normalisation into the convolution before it; the network, in eval mode, is changed."""
    for parent in network.modules():
        before: tuple[str, Any] | None = None
        for name, layer in list(parent.named_children()):
            if before is not None and isinstance(layer, nn.BatchNorm2d):
                setattr(parent, before[0], torch.nn.utils.fuse_conv_bn_eval(before[1], layer))
                setattr(parent, name, nn.Identity())
            before = (name, layer) if isinstance(layer, nn.Conv2d) else None
    return network
