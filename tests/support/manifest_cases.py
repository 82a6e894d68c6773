"""Validation of manifests against the Kubernetes versions that are supported."""

import kubernetes_validate
from kubernetes_validate import utils as schemas

from tests.support.manifests import Document

OLDEST = (1, 29)
VERSIONS = sorted(
    {tuple(int(number) for number in schemas.major_minor(version).split(".")) for version in schemas.all_versions()}
)


def validate(document: Document) -> None:
    """Hold a document against the schemas of every version, unknown fields refused."""
    for major, minor in VERSIONS:
        if (major, minor) >= OLDEST:
            kubernetes_validate.validate(document, f"{major}.{minor}", strict=True)


def identity(document: Document) -> tuple[str, str]:
    """What a cluster knows a document by."""
    return document["kind"], document["metadata"]["name"]
