"""An entry of the models' manifest, for the tests of downloads."""

import hashlib
from typing import Any

HARMLESS = b"some weights"


def entry(**changed: Any) -> dict[str, Any]:
    """An entry of the manifest for some harmless weights."""
    checksum = hashlib.sha256(HARMLESS).hexdigest()
    return {"addresses": ["https://127.0.0.1:9/v1/weights.pt"], "sha256": [checksum], "bytes": len(HARMLESS), **changed}
