"""Loads WEIGHTS for export and verify."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.errors import ModelError, need

if TYPE_CHECKING:
    from training.weights import Weights


def load(weights: str | Path, spectra: str | None = None) -> Weights:
    """Loads weights with `training.weights.load_weights`.

    Raises:
        ModelError: the weights cannot be used, or `spectra` is neither rgb nor fft.
        PackageError: a package is missing; names the extra that brings it.
    """
    if spectra not in (None, "rgb", "fft"):
        raise ModelError(f"spectra is {spectra!r}; it must be rgb or fft, as the one_stream checkpoint is")
    try:
        from training.weights import load_weights
    except ImportError as error:
        raise need("train", f"reading PyTorch weights ({error.name})") from error
    # Where only torch is installed, the exporter would fail later, with an error that does not help.
    for package in ("onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise need("train", f"reading and writing ONNX files ({package})")
    return load_weights(Path(weights), spectra="fft" if spectra == "fft" else "rgb" if spectra else None)


def looks_like_weights(text: str) -> bool:
    """Whether an argument names weights and not images: a file of weights, or a run folder."""
    path = Path(text)
    return path.suffix in (".safetensors", ".pth", ".ckpt") or (path / "best.safetensors").is_file()
