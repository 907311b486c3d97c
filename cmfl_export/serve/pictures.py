"""Heatmaps and spectrum of a row as PNG, in base64 as JSON needs it."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..report import heatmaps
from ..runtime import ModelCard, Prediction

KINDS = ("heatmap", "spectrum")
_OPACITY = 0.7


def lacking(card: ModelCard, kinds: Collection[str]) -> list[str]:
    """Returns those of the kinds that a model has no outputs for."""
    return [kind for kind in kinds if not any(name.startswith(kind) for name in card.outputs)]


def pictures_of(row: Prediction, kinds: Collection[str]) -> dict[str, str]:
    """Draws the pictures of a row that has `extras`: each heatmap over what its branch sees.

    Returns:
        PNG files of 224 x 224 in base64, by name: `heatmap_rgb`, `heatmap_spectrum`, `spectrum`; those that
        the model has. An input without a score has none.
    """
    extras = row.extras
    drawn = {}
    grey = heatmaps.grey_spectrum(extras["spectrum"]) if "spectrum" in extras else None
    if "heatmap" in kinds and "heatmap_rgb" in extras:
        drawn["heatmap_rgb"] = heatmaps.overlay(extras["image"], extras["heatmap_rgb"], _OPACITY)
    if "heatmap" in kinds and "heatmap_spectrum" in extras and grey is not None:
        drawn["heatmap_spectrum"] = heatmaps.overlay(grey, extras["heatmap_spectrum"], _OPACITY)
    if "spectrum" in kinds and grey is not None:
        drawn["spectrum"] = grey
    return {name: _png(picture) for name, picture in drawn.items()}


def _png(picture: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")
