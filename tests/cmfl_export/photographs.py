"""Photographs with faces in known places, made from the one of an astronaut that is part of scikit-image."""

from __future__ import annotations

from functools import cache

import numpy as np
import skimage.data
from PIL import Image

# Her face at full size, looked up by hand: the middle between the eyes, and about its width.
EYES, WIDTH = (226, 102), 90


def pixels_of(name: str) -> np.ndarray:
    """One of the pictures that are part of scikit-image, which has no type hints."""
    pixels: np.ndarray = getattr(skimage.data, name)()
    return pixels


@cache
def astronaut() -> Image.Image:
    """512 x 512, with one face."""
    return Image.fromarray(pixels_of("astronaut"))


@cache
def cameraman() -> Image.Image:
    """512 x 512, grey, with one face, half turned away."""
    return Image.fromarray(pixels_of("camera")).convert("RGB")


@cache
def coffee() -> Image.Image:
    """600 x 400, without a face."""
    return Image.fromarray(pixels_of("coffee"))


def head() -> Image.Image:
    """Her head alone, 256 x 256, the middle between the eyes at (136, 102)."""
    return astronaut().crop((90, 0, 346, 256))


def group(*places: tuple[int, int, int], size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Several heads on a plain ground: side, left and top of each."""
    picture = Image.new("RGB", size, (90, 110, 120))
    for side, left, top in places:
        picture.paste(head().resize((side, side), Image.Resampling.BOX), (left, top))
    return picture


def eyes_of(side: int, left: int, top: int) -> np.ndarray:
    """Where the middle between the eyes of such a head is."""
    return np.array([left, top]) + np.array([136, 102]) * side / 256
