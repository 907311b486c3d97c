"""Spectrum and heatmaps as pictures, with Pillow and NumPy."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..runtime import ModelCard

# Red, green, blue and opacity at equal steps from no evidence to the strongest. Light and opacity both grow,
# so that the order is seen without telling the colours apart.
_STEPS = np.array(
    [[130, 60, 190, 0], [150, 40, 170, 85], [215, 45, 125, 165], [250, 120, 55, 210], [255, 230, 80, 235]]
)


def colours() -> NDArray[np.uint8]:
    """The colour scale of heatmaps: uint8 [256, 4], red, green, blue and opacity, from 0 to the peak."""
    at, places = np.linspace(0, 1, 256), np.linspace(0, 1, len(_STEPS))
    return _bytes(np.stack([np.interp(at, places, channel) for channel in _STEPS.T], axis=-1))


def lacking(card: ModelCard) -> list[str]:
    """The outputs for pictures that a model of this kind could have and this one has not."""
    missing = [] if any(name.startswith("heatmap_") for name in card.outputs) else ["heatmap"]
    return missing + (["spectrum"] if card.spectra != "rgb" and "spectrum" not in card.outputs else [])


def levels(heatmap: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A heatmap as shares of its own peak: float [14, 14] >= 0 to uint8 [14, 14], 255 at the peak.

    What is not finite counts as 0; a heatmap of zeros stays zeros.
    """
    values = np.nan_to_num(heatmap, nan=0.0, posinf=0.0, neginf=0.0)
    peak = float(values.max())
    return _bytes(values / peak * 255 if peak > 0 else values)


def overlay(
    picture: NDArray[np.uint8], heatmap: NDArray[np.floating], opacity: float = 1.0
) -> NDArray[np.uint8]:
    """A heatmap in colour over the picture that it belongs to.

    Args:
        picture: uint8 [H, W, 3] or [H, W].
        heatmap: float [14, 14], >= 0; the colours go up to its own peak.
        opacity: in [0, 1], of the whole heatmap.

    Returns:
        uint8 [H, W, 3].
    """
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    height, width = picture.shape[:2]
    smooth = Image.fromarray(levels(heatmap)).resize((width, height), Image.Resampling.BILINEAR)
    colour = colours().astype(np.float64)[np.asarray(smooth)]
    share = colour[..., 3:] / 255 * opacity
    return _bytes(picture * (1 - share) + colour[..., :3] * share)


def grey_spectrum(spectrum: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The mean of the colour channels' spectra: float [3, H, W] in [-1, 1] to uint8 [H, W]."""
    values = np.nan_to_num(spectrum.mean(axis=0), nan=-1.0)
    return _bytes((values + 1) * 127.5)


def jpeg(picture: NDArray[np.uint8], quality: int) -> bytes:
    """A JPEG file of uint8 [H, W, 3] RGB or [H, W] grey."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def _bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = values.round().clip(0, 255).astype(np.uint8)
    return rounded
