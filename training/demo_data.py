"""The data of `make demo`, from photographs that are on the disk already.

Real samples are crops of the colour photographs inside the scikit-image package; synthetic ones are other
crops of the same photographs, put through the up-sampling simulator. Nothing is downloaded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from cmfl_export.base.errors import InputError, need
from cmfl_export.base.files import write_whole
from cmfl_export.images import SIZE, ImageError, open_rgb
from protocols import Sample, write_split

from .simulate import ATTACK_TYPE, encode, name_rng
from .upsampling import Pixels, simulate

# The demo learns from eighty pictures in minutes, so its traces are stronger than a generator's.
_STRENGTH = 4.0
_MAX_REDUCTION = 3.0
# A crop of the black around a retina says nothing of either class.
_MIN_CONTRAST = 12.0  # standard deviation of the pixels
_ATTEMPTS = 50


@dataclass(frozen=True)
class _Region:
    """A part of a photograph, as fractions of its width and height: left, top, right, bottom."""

    file: str
    part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


_LEFT = (0.0, 0.0, 0.5, 1.0)
_RIGHT = (0.5, 0.0, 1.0, 1.0)
_UPPER_RIGHT = (0.5, 0.0, 1.0, 0.5)
_LOWER_RIGHT = (0.5, 0.5, 1.0, 1.0)

# No pixel is in two splits. The cat is seen in the last one only.
_REGIONS = {
    "train": (
        _Region("astronaut.png", _LEFT),
        _Region("motorcycle_left.png", _LEFT),
        _Region("ihc.png", _LEFT),
        _Region("retina.jpg", _LEFT),
        _Region("coffee.png", _LEFT),
    ),
    "dev": (
        _Region("astronaut.png", _UPPER_RIGHT),
        _Region("motorcycle_left.png", _UPPER_RIGHT),
        _Region("ihc.png", _UPPER_RIGHT),
        _Region("retina.jpg", _UPPER_RIGHT),
        _Region("coffee.png", _RIGHT),
    ),
    "eval": (
        _Region("astronaut.png", _LOWER_RIGHT),
        _Region("motorcycle_left.png", _LOWER_RIGHT),
        _Region("ihc.png", _LOWER_RIGHT),
        _Region("retina.jpg", _LOWER_RIGHT),
        _Region("chelsea.png"),
    ),
}


def make_demo_data(
    out_dir: str | os.PathLike[str], seed: int = 0, *, train: int = 40, dev: int = 12, evaluation: int = 24
) -> Path:
    """Writes `{train,dev,eval}/{real,synthetic}/*.png` (224 x 224) and the protocol over them into `out_dir`.

    Args:
        out_dir: made if missing; it is the data root of the protocol.
        seed: decides crops and traces; equal seeds give equal files.
        train, dev, evaluation: how many images each class has in each split.

    Returns:
        The protocol folder, `out_dir/protocol`.

    Raises:
        CmflError: scikit-image is not installed or has other files, or `out_dir` cannot be written.
    """
    out_dir = Path(out_dir)
    folder = _photographs()
    protocol = out_dir / "protocol"
    for split, count in (("train", train), ("dev", dev), ("eval", evaluation)):
        regions = [_open(folder, region) for region in _REGIONS[split]]
        samples = []
        for attack in ("", ATTACK_TYPE):
            kind = "synthetic" if attack else "real"
            for number in range(count):
                name = f"{split}/{kind}/{number:03d}.png"
                rng = name_rng(seed, name)
                pixels = _crop(regions[number % len(regions)], rng)
                if attack:
                    pixels = simulate(pixels, rng, strength=_STRENGTH)
                write_whole(out_dir / name, encode(pixels, None))
                samples.append(Sample(f"{split}-{kind}-{number:03d}", name, attack))
        write_split(samples, protocol / f"{split}.csv")
    return protocol


def _photographs() -> Path:
    """The folder of scikit-image's own pictures, without importing it (its loaders may download)."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise need("demo", "the demo")
    return Path(spec.origin).parent / "data"


def _open(folder: Path, region: _Region) -> Image.Image:
    try:
        image = open_rgb(folder / region.file)
    except ImageError as error:
        raise InputError(
            f"{folder / region.file}: {error.message}; the demo needs it, install scikit-image again"
        ) from error
    width, height = image.size
    left, top, right, bottom = region.part
    return image.crop((int(width * left), int(height * top), int(width * right), int(height * bottom)))


def _crop(region: Image.Image, rng: np.random.Generator) -> Pixels:
    """A square of random place and size, reduced to 224 x 224 without aliasing, perhaps flipped."""
    largest = min(*region.size, _MAX_REDUCTION * SIZE)
    for _ in range(_ATTEMPTS):
        side = rng.uniform(SIZE, largest)
        left = rng.uniform(0, region.width - side)
        top = rng.uniform(0, region.height - side)
        crop = region.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        pixels = np.array(crop)
        if pixels.std() >= _MIN_CONTRAST:
            break
    return np.ascontiguousarray(pixels[:, ::-1]) if rng.random() < 0.5 else pixels
