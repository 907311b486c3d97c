"""What a file's bytes say about how it was written: format, size, mode, JPEG tables, metadata."""

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

# Encoders that round halves down differ from the standard by 1 in a few entries: by so much on average.
_ROUNDING = 0.1

_SAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """One file's header.

    `jpeg_quality` (1..100) is the quality whose standard tables lie nearest; `jpeg_tables` says in words
    whether the file has these tables (`75`; encoders round them differently) or others (`~82 #1f3a09`), and
    `jpeg_digest` tells tables apart to the last digit. These and `chroma` are None and empty for anything but
    JPEG. `mode` is Pillow's: `RGB`, `L` (grey), `CMYK`, `P`, `RGBA`, ... `alignment` is what `cmfl align`
    wrote into its crops; empty in other files.
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
    """Reads the header of an image file that `cmfl_export.images.open_rgb` accepts; decodes no pixels.

    `width` and `height` are those stored, before any EXIF orientation.

    Raises:
        OSError: not an image of a format that `open_rgb` reads.
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
    """The nearest quality of the Independent JPEG Group's scale, the tables in words, and their digest."""
    if not quantization:
        return None, "", ""
    # A third table belongs to an unusual encoder, and the first two still tell the quality.
    tables = np.array([quantization[number] for number in sorted(quantization)])
    distance = np.abs(_standard_tables()[:, : len(tables)] - tables[:2])
    nearest = int(distance.sum(axis=(1, 2)).argmin())
    digest = hashlib.sha256(tables.astype(">u2").tobytes()).hexdigest()[:6]
    standard = len(tables) <= 2 and distance[nearest].max() <= 1 and distance[nearest].mean() <= _ROUNDING
    return nearest + 1, f"{nearest + 1}" if standard else f"~{nearest + 1} #{digest}", digest


@cache
def _standard_tables() -> np.ndarray:
    """int [100, 2, 64]: luminance and chrominance tables of quality 1 to 100, rounded as libjpeg does."""
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
