"""The quantisation tables of a JPEG file: which encoder and quality they point to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

# ITU-T T.81, tables K.1 and K.2, row by row: what an encoder's "quality" scales.
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_CHROMINANCE = np.full((8, 8), 99)
_CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

# Mean difference of tables from encoders that round halves down: a few entries differ by 1.
_ROUNDING = 0.1


@dataclass(frozen=True, slots=True)
class Tables:
    """What the tables of one file are.

    Attributes:
        quality: 1..100, the quality on the Independent JPEG Group's scale with the nearest tables.
        standard: whether they are the tables of that quality (encoders round them differently), or others.
        digest: six hex digits that differ if any digit of the tables differs.
    """

    quality: int
    standard: bool
    digest: str

    def __str__(self) -> str:
        return f"{self.quality}" if self.standard else f"~{self.quality} #{self.digest}"


def tables_of(quantization: Mapping[int, Any]) -> Tables | None:
    """The tables of a JPEG file; None where it has none.

    Args:
        quantization: by number, 64 values each, row by row, as Pillow's `JpegImageFile.quantization`.
    """
    if not quantization:
        return None
    # Only unusual encoders write a third table, and the first two suffice for the quality.
    tables = np.array([quantization[number] for number in sorted(quantization)])
    distance = np.abs(_standard_tables()[:, : len(tables)] - tables[:2])
    nearest = int(distance.sum(axis=(1, 2)).argmin())
    digest = hashlib.sha256(tables.astype(">u2").tobytes()).hexdigest()[:6]
    standard = len(tables) <= 2 and distance[nearest].max() <= 1 and distance[nearest].mean() <= _ROUNDING
    return Tables(nearest + 1, bool(standard), digest)


@cache
def _standard_tables() -> np.ndarray:
    """Returns both tables of quality 1 to 100, luminance first, rounded as in libjpeg: int [100, 2, 64]."""
    quality = np.arange(1, 101)
    percent = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    standard = np.stack([_LUMINANCE.ravel(), _CHROMINANCE.ravel()])
    return ((standard * percent[:, None, None] + 50) // 100).clip(1, 255)
