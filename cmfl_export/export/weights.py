"""The door to the PyTorch side: WEIGHTS as export and verify take them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.errors import ModelError, need

if TYPE_CHECKING:
    from training.weights import Weights


def load(weights: str | Path, spectra: str | None = None) -> Weights:
    """`training.weights.load_weights`, with an error that says what to install where torch is missing."""
    if spectra not in (None, "rgb", "fft"):
        raise ModelError(f"spectra is {spectra!r}; an official one_stream checkpoint is rgb or fft")
    try:
        from training.weights import load_weights
    except ImportError as error:
        raise need("train", f"reading PyTorch weights ({error.name})") from error
    # Many people have torch already. Without these two the exporter would fail later, in words of its own.
    for package in ("onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise need("train", f"reading and writing ONNX files ({package})")
    return load_weights(Path(weights), spectra="fft" if spectra == "fft" else "rgb" if spectra else None)
