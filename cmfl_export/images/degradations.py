"""Degradations of decoded images, such as compression and blur, in measured strengths."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from ..base.errors import UsageError
from .decoding import Pixels


@dataclass(frozen=True)
class Degradation:
    """One kind of damage in one strength.

    Attributes:
        family: one of FAMILIES.
        strength: in the unit that FAMILIES gives.
        seed: random seed; only noise uses it.
    """

    family: str
    strength: float
    seed: int = 0

    @property
    def label(self) -> str:
        """Family and strength, such as `jpeg 75`."""
        return f"{self.family} {self.strength:g}"

    def apply(self, image: Pixels, name: str) -> Pixels:
        """The damaged image.

        Args:
            image: uint8 [H, W, 3], RGB.
            name: the image's name. Noise is drawn from name and seed, so that neither the order of the images
                nor the threads change it.

        Returns:
            uint8 [H, W, 3], a new array.
        """
        kind = _KINDS[self.family]
        return np.array(kind.apply(Image.fromarray(image), self.strength, f"{self.seed}:{name}"))


def parse_degradations(specs: Sequence[str], seed: int = 0) -> list[Degradation]:
    """Parses degradations as written on the command line: `jpeg:95,75`, `blur:1,2`, `resize:0.5`, ...

    Raises:
        UsageError: a family is unknown, a strength is no number or out of range, or one is given twice.
    """
    found: list[Degradation] = []
    for spec in specs:
        family, _, doses = spec.partition(":")
        kind = _KINDS.get(family)
        if kind is None:
            raise UsageError(f"unknown degradation {family!r} in {spec!r}; choose from: {', '.join(_KINDS)}")
        for text in doses.split(","):
            try:
                strength = float(text)
            except ValueError as error:
                example = f"{family}:{kind.example}"
                raise UsageError(
                    f"{text!r} in {spec!r} is not a number; write for instance {example}"
                ) from error
            if not kind.fits(strength):
                raise UsageError(f"{family} takes {kind.measure}, not {text}")
            degradation = Degradation(family, strength, seed)
            if degradation in found:
                raise UsageError(f"{degradation.label} is given twice")
            found.append(degradation)
    return found


@dataclass(frozen=True)
class _Kind:
    apply: Callable[[Image.Image, float, str], Image.Image]
    fits: Callable[[float], bool]
    measure: str
    example: str


def recompress(image: Image.Image, quality: int, format: str = "JPEG") -> Image.Image:
    """The RGB image after one round of lossy compression, JPEG or WEBP."""
    buffer = io.BytesIO()
    image.save(buffer, format, quality=quality)
    with Image.open(buffer) as damaged:
        return damaged.convert("RGB")


def resize_and_back(
    image: Image.Image, factor: float, kernel: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """The image after resizing by `factor`, below 1, and back to its own size."""
    small = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(small, kernel).resize(image.size, kernel)


def add_noise(image: Image.Image, rng: np.random.Generator, sigma: float) -> Image.Image:
    """The RGB image with independent Gaussian noise on each value; sigma in grey levels of 255."""
    noisy = np.asarray(image) + rng.normal(0.0, sigma, (image.height, image.width, 3))
    return Image.fromarray(np.rint(noisy).clip(0, 255).astype(np.uint8))


def _jpeg(image: Image.Image, quality: float, _: str) -> Image.Image:
    return recompress(image, int(quality))


def _webp(image: Image.Image, quality: float, _: str) -> Image.Image:
    return recompress(image, int(quality), "WEBP")


def _blur(image: Image.Image, sigma: float, _: str) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(sigma))


def _resize(image: Image.Image, factor: float, _: str) -> Image.Image:
    return resize_and_back(image, factor)


def _noise(image: Image.Image, sigma: float, key: str) -> Image.Image:
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    return add_noise(image, np.random.default_rng(int.from_bytes(digest[:8], "big")), sigma)


def _is_quality(value: float) -> bool:
    return 1 <= value <= 100 and value.is_integer()


_KINDS = {
    "jpeg": _Kind(_jpeg, _is_quality, "whole qualities from 1 to 100", "75"),
    "webp": _Kind(_webp, _is_quality, "whole qualities from 1 to 100", "80"),
    "blur": _Kind(_blur, lambda x: 0 < x <= 50, "a Gaussian's sigma in pixels, above 0 up to 50", "1.5"),
    "resize": _Kind(_resize, lambda x: 0 < x < 1, "a factor between 0 and 1 (down and up again)", "0.5"),
    "noise": _Kind(_noise, lambda x: 0 < x <= 255, "a sigma in grey levels, above 0 up to 255", "5"),
}
FAMILIES = {name: kind.measure for name, kind in _KINDS.items()}
