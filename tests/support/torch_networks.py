"""Networks of torch's with random weights, and the files that torch.save writes of them, for tests."""

import io
from collections.abc import Callable
from typing import Any


def saved(torch: Any, state: Any, **how: Any) -> bytes:
    """The bytes of what torch.save writes."""
    file = io.BytesIO()
    torch.save(state, file, **how)
    return file.getvalue()


def settled(torch: Any, network: Any, batch: Any, run: Callable[[Any], Any] | None = None) -> Any:
    """Give a random network the statistics of some pictures: what it says of them then differs, as in a trained one."""
    network.eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            layer.momentum = 1.0
            layer.train()
    with torch.no_grad():
        (run or network)(batch)
    return network.eval()
