"""The images to measure with: the user's, or drawn ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..base.errors import UsageError
from ..base.files import scratch_folder
from ..images import SIZE, iter_paths

DRAWN = 64
QUALITY = 75
# Measurements repeat the images; more would only make the requests to the contenders long.
_MOST = 4096


@contextmanager
def pictures(folder: Path | None) -> Iterator[tuple[list[str], str]]:
    """Gives the paths of the images to measure with, in random order, and their description.

    Args:
        folder: the user's folder, of which at most 4,096 images are used. None draws images for the time of
            the block.

    Raises:
        UsageError: the folder has no images.
    """
    if folder is not None:
        paths = list(iter_paths([str(folder)]))
        if not paths:
            raise UsageError(f"no images found in {folder}")
        # In order of name, a folder has one class after the other.
        random.Random(0).shuffle(paths)
        yield paths[:_MOST], f"{min(len(paths), _MOST)} images of {folder}"
        return
    with scratch_folder() as place:
        drawn = draw(place, DRAWN)
        words = f"{DRAWN} drawn images, {SIZE} px JPEG of quality {QUALITY}"
        yield [str(path) for path in drawn], words


def draw(folder: Path, count: int, first: int = 0) -> list[Path]:
    """Writes drawn images, JPEG files of 224 pixels, numbered from `first`; returns their paths."""
    paths = [folder / f"{number:03}.jpg" for number in range(first, first + count)]
    for number, path in enumerate(paths, first):
        Image.fromarray(_scene(number)).save(path, quality=QUALITY)
    return paths


def _scene(seed: int) -> NDArray[np.uint8]:
    """Draws a scene with shades, edges and grain, uint8 [224, 224, 3]; its file is as large as a face's."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    centre, radius = rng.uniform(0.35, 0.65, 2), rng.uniform(0.2, 0.4)
    disc = np.hypot(x - centre[0], y - centre[1]) < radius
    channels = []
    for _ in range(3):
        across, down, phase = rng.uniform(2, 12, 3)
        shade = 128 + 60 * np.sin(across * x + phase) * np.cos(down * y)
        channels.append(np.where(disc, 255 - shade, shade) + rng.normal(0, 8, x.shape))
    return np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8)
