"""Exports torch networks to ONNX; shared by the converters. Torch is imported only when it is used."""

import pickle
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import onnx

from stageline.core.errors import ModelError

OPSET = 17
INPUT = "pixels"


def needed(package: str) -> Any:
    """Import torch, or one of its kin.

    Raises:
        ModelError: it is not installed; the text says how to.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ModelError(f"this conversion needs torch: pip install 'stageline[train]' ({error})") from error


def load_weights(source: Path) -> dict[str, Any]:
    """Read the state dict that torch.save wrote into a file, of any age; nothing else that is in it is run or taken.

    Returns:
        Tensors on the CPU, by name.

    Raises:
        ModelError: torch is not installed, or the file holds anything else.
    """
    torch = needed("torch")
    try:
        state = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError) as error:
        first_line = str(error).partition("\n")[0]
        raise ModelError(f"{source.name} is no file of weights: {first_line}") from error
    if not isinstance(state, Mapping) or not all(torch.is_tensor(value) for value in state.values()):
        raise ModelError(f"{source.name} is no file of weights: it holds something else than named tensors")
    return dict(state)


def fill(network: Any, weights: Mapping[str, Any]) -> Any:
    """Load weights into a network, and return it in eval mode.

    Raises:
        ModelError: they are those of another network.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"these are the weights of another network: {str(error)[:300]}") from error
    return network.eval()


def on_pixels(network: Any, mean: Sequence[float], std: Sequence[float]) -> Any:
    """Prepend the normalisation (pixels - mean) / std, for pixels of 0..255, to a network."""
    torch = needed("torch")
    first = torch.nn.BatchNorm2d(3, eps=1e-30, affine=False)  # which is (x - mean) / √variance; some torch want eps > 0
    first.running_mean = torch.tensor(mean)
    first.running_var = torch.tensor(std) ** 2
    return torch.nn.Sequential(first, network).eval()


def export(network: Any, shape: tuple[int, ...], outputs: Mapping[str, Sequence[str]], path: Path) -> None:
    """Write a torch module whose input is float32 pixels as an ONNX file.

    Args:
        network: in eval mode.
        shape: of the pixels to trace it with.
        outputs: their names; with each, those of its leading axes that are free. Where one of these is ``batch``, the
            input's first axis is free as well.
        path: of the file.
    """
    torch = needed("torch")
    free = {name: dict(enumerate(axes)) for name, axes in outputs.items()}
    if any("batch" in axes for axes in outputs.values()):
        free[INPUT] = {0: "batch"}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # about tracing, which is intended; the newer exporter needs onnxscript
        torch.onnx.export(
            network,
            (torch.zeros(shape),),
            str(path),
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(str(path), full_check=True)
