"""Reads from a file's header how it was written: format, size, mode, JPEG tables, metadata."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from cmfl_export.faces import MARKER
from cmfl_export.images import FORMATS

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

_SAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """The header of one file.

    `jpeg_quality` (1..100) is the quality with the nearest standard tables. `jpeg_tables` tells whether the
    file has these tables (`75`; encoders round them differently) or others (`~82 #1f3a09`). `jpeg_digest`
    differs if any digit of the tables differs. For other formats than JPEG `jpeg_quality` is None, and the
    texts and `chroma` are empty. `mode` is Pillow's: `RGB`, `L` (grey), `CMYK`, `P`, `RGBA`, ... `alignment`
    is the text that `cmfl align` writes into its crops; empty in other files.
    """

    format: str
    width: int
    height: int
    bytes: int
    mode: str
    jpeg_quality: int | None
    jpeg_tables: str
    jpeg_digest: str
    chroma: str
    progressive: bool
    exif: bool
    icc: bool
    alignment: str = ""


def read_encoding(data: bytes) -> Encoding:
    """Reads the header of an image file that `cmfl_export.images.open_rgb` accepts, without decoding pixels.

    `width` and `height` are the stored ones, before any EXIF orientation.

    Raises:
        OSError: not an image in a format that `open_rgb` reads.
    """
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        quality, tables, digest, chroma = None, "", "", ""
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            quality, tables, digest = _jpeg_quality(image.quantization)
            chroma = _chroma(image)
        return Encoding(
            format="JPEG" if image.format == "MPO" else image.format or "",
            width=image.width,
            height=image.height,
            bytes=len(data),
            mode=image.mode,
            jpeg_quality=quality,
            jpeg_tables=tables,
            jpeg_digest=digest,
            chroma=chroma,
            progressive=bool(image.info.get("progressive")),
            exif="exif" in image.info,
            icc=bool(image.info.get("icc_profile")),
            alignment=_alignment(image),
        )


def _jpeg_quality(quantization: dict[int, Any]) -> tuple[int | None, str, str]:
    """Returns the nearest quality on the Independent JPEG Group's scale, tables in words, and a digest."""
    if not quantization:
        return None, "", ""
    # Only unusual encoders write a third table, and the first two suffice for the quality.
    tables = np.array([quantization[number] for number in sorted(quantization)])
    distance = np.abs(_standard_tables()[:, : len(tables)] - tables[:2])
    nearest = int(distance.sum(axis=(1, 2)).argmin())
    digest = hashlib.sha256(tables.astype(">u2").tobytes()).hexdigest()[:6]
    standard = len(tables) <= 2 and distance[nearest].max() <= 1 and distance[nearest].mean() <= _ROUNDING
    return nearest + 1, f"{nearest + 1}" if standard else f"~{nearest + 1} #{digest}", digest


@cache
def _standard_tables() -> np.ndarray:
    """Returns both tables of quality 1 to 100, luminance first, rounded as in libjpeg: int [100, 2, 64]."""
    quality = np.arange(1, 101)
    percent = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    standard = np.stack([_LUMINANCE.ravel(), _CHROMINANCE.ravel()])
    return ((standard * percent[:, None, None] + 50) // 100).clip(1, 255)


def _alignment(image: Image.Image) -> str:
    comment = image.info.get("comment", b"")
    if isinstance(comment, bytes) and comment.startswith(MARKER.encode()):
        return comment.decode("ascii", "replace").removeprefix(MARKER).strip()
    return str(image.info.get(MARKER, ""))


def _chroma(image: JpegImagePlugin.JpegImageFile) -> str:
    if len(image.layer) == 1:
        return "grey"
    sampling = JpegImagePlugin.get_sampling(image)
    if sampling in _SAMPLING:
        return _SAMPLING[sampling]
    return " ".join(f"{across}x{down}" for _, across, down, _ in image.layer)
