"""The model store: cards, published versions, and getting the models that Stageline knows."""

from stageline.registry.card import Card, Input, ModelFiles, Preprocessing, made_of
from stageline.registry.install import install, manifest
from stageline.registry.repository import Pointer, Repository, open_repository

__all__ = [
    "Card",
    "Input",
    "ModelFiles",
    "Pointer",
    "Preprocessing",
    "Repository",
    "install",
    "made_of",
    "manifest",
    "open_repository",
]
