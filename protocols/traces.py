"""Measures traces of processing in the pixels: spectrum, resampling, JPEG blocks, colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from cmfl_export.images import SIZE, fit

RADIAL_BINS = 31

Floats = npt.NDArray[np.float64]

# Resampling and JPEG blocks are searched in the middle of the stored picture, up to this side.
_WINDOW = 512
_SMALLEST = 64
# Any photograph has peaks and grids below these strengths.
_PEAK_STRENGTH = 7.0
# Below this frequency the content of the picture is more periodic than any interpolation.
_LOWEST_FREQUENCY = 0.08
_GRID_STRENGTH = 1.25
# ITU-R BT.601, unrounded: rounding noise in a grey picture would cover the weakest frequencies.
_LUMINANCE = np.array([0.299, 0.587, 0.114])
# A picture whose channels differ by less than this on average is grey, whatever its mode.
_GREY_RANGE = 2.0


@dataclass(frozen=True, slots=True)
class Traces:
    """The measurements of one picture.

    Attributes:
        radial: 31 log-power values, low to high frequency, of the grey 224 x 224 input of the network.
        thumbnail: 192 values, 8 x 8 RGB, 0..255.
        resampling, period: strength of the strongest periodicity that JPEG does not explain, as a multiple of
            the median, and its frequency as text (`none` if weak).
        blocks, grid: how much stronger steps are on the borders of 8 x 8 blocks than elsewhere (1: not at
            all), and where the strongest grid begins (`0,0`: at the corner; `none` if weak).
        grey: whether the picture has no colour.
    """

    radial: Floats
    thumbnail: Floats
    resampling: float
    period: str
    blocks: float
    grid: str
    grey: bool


def measure(image: Image.Image, *, aligned: bool = True) -> Traces:
    """Measures an RGB picture at its full size; `aligned` is whether the network takes it as aligned."""
    seen = fit(image, aligned=aligned)
    stored = np.asarray(_middle(image).convert("L"), np.float64)
    resampling, period = _resampling(stored)
    blocks, grid = _blocks(stored)
    return Traces(
        radial=_radial(np.asarray(seen, np.float64) @ _LUMINANCE),
        thumbnail=np.asarray(seen.resize((8, 8), Image.Resampling.BOX), np.float64).ravel(),
        resampling=resampling,
        period=period,
        blocks=blocks,
        grid=grid,
        grey=_colour_range(seen) < _GREY_RANGE,
    )


def _colour_range(image: Image.Image) -> float:
    """Returns the mean difference between the largest and the smallest channel of a pixel."""
    red, green, blue = (np.asarray(channel) for channel in image.split())
    largest = np.maximum(np.maximum(red, green), blue)
    return float((largest - np.minimum(np.minimum(red, green), blue)).mean())


def _middle(image: Image.Image) -> Image.Image:
    """Returns the middle of the picture, cut on the borders of its 8 x 8 blocks."""
    width, height = image.size
    left, top = (max(0, side - _WINDOW) // 2 // 8 * 8 for side in (width, height))
    return image.crop((left, top, min(width, left + _WINDOW), min(height, top + _WINDOW)))


def _radial(luminance: Floats) -> Floats:
    """Returns the log mean power in 31 rings of equal width, from the first frequency to the corner."""
    # Half of the plane is enough: the other half is the same.
    power = np.abs(np.fft.rfft2(luminance - luminance.mean())).ravel() ** 2
    ring, count = _rings()
    return np.log(np.bincount(ring, power, RADIAL_BINS + 1)[1:] / count + 1e-3)


@cache
def _rings() -> tuple[npt.NDArray[np.int64], Floats]:
    """Returns the ring (1..31; 0 for the mean) of every frequency [224 * 113], and the size of each ring."""
    radius = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)).ravel()
    edges = np.linspace(1 / SIZE, radius.max() * (1 + 1e-9), RADIAL_BINS + 1)
    ring = np.digitize(radius, edges)
    ring[radius == 0] = 0
    return ring, np.bincount(ring, minlength=RADIAL_BINS + 1)[1:].astype(np.float64)


def _resampling(luminance: Floats) -> tuple[float, str]:
    """Returns the strongest period in the mean second derivative along rows and columns.

    Interpolation makes the variance of the second derivative periodic (Gallagher, "Detection of linear and
    cubic interpolation in JPEG compressed images", CRV 2005, section 2). Multiples of 1/8 are left out,
    because JPEG blocks cause them.
    """
    if min(luminance.shape) < _SMALLEST:
        return 0.0, "none"
    best, where = 0.0, 0.0
    for values in (luminance, luminance.T):
        mean = np.abs(np.diff(values, 2, axis=1)).mean(axis=0)
        smooth = np.convolve(np.pad(mean, 4, mode="reflect"), np.full(9, 1 / 9), mode="valid")
        spectrum = np.abs(np.fft.rfft((mean - smooth) * np.hanning(len(mean))))
        frequency = np.fft.rfftfreq(len(mean))
        from_eighth = np.abs(frequency - np.round(frequency * 8) / 8)
        spectrum = spectrum[(frequency > _LOWEST_FREQUENCY) & (from_eighth > 2.5 / len(mean))]
        frequency = frequency[(frequency > _LOWEST_FREQUENCY) & (from_eighth > 2.5 / len(mean))]
        strength = float(spectrum.max() / max(np.median(spectrum), 1e-9))
        if strength > best:
            best, where = strength, float(frequency[spectrum.argmax()])
    return best, f"{where:.2f}" if best >= _PEAK_STRENGTH else "none"


def _blocks(luminance: Floats) -> tuple[float, str]:
    """Returns the strength of 8 x 8 blocks that begin at the corner, and the start of the strongest grid.

    A step is compared with those beside it, as in blocking measures without a reference (Fan & de Queiroz,
    "Identification of bitmap compression history", IEEE TIP 2003, section II).
    """
    if min(luminance.shape) < _SMALLEST:
        return 1.0, "none"
    profiles = []
    for values in (luminance, luminance.T):
        step = np.diff(values, axis=1)
        excess = np.abs(2 * step[:, 1:-1] - step[:, :-2] - step[:, 2:]).mean(axis=0)
        # Step i lies between pixels i and i + 1; the first step is left out, as it has no left neighbour.
        phase = (np.arange(len(excess)) + 2) % 8
        profile = np.bincount(phase, excess, 8) / np.bincount(phase, minlength=8)
        profiles.append(profile / max(float(np.median(profile)), 1e-6))
    strength = np.mean([profile.max() for profile in profiles])
    corner = ",".join(str(profile.argmax()) for profile in profiles)
    return float(
        np.mean([profile[0] for profile in profiles])
    ), corner if strength >= _GRID_STRENGTH else "none"
