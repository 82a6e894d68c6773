"""The model store: cards, published versions, and getting the models that Stageline knows."""

from stageline.modelstore.card import Card, Input, Model, Preprocessing, made_of
from stageline.modelstore.install import install, manifest
from stageline.modelstore.repository import Pointer, Repository, open_repository

__all__ = [
    "Card",
    "Input",
    "Model",
    "Pointer",
    "Preprocessing",
    "Repository",
    "install",
    "made_of",
    "manifest",
    "open_repository",
]
