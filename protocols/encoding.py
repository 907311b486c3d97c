"""Reads from a file's header how it was written: format, size, mode, JPEG tables, metadata."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, JpegImagePlugin

from cmfl_export.faces import MARKER
from cmfl_export.images import FORMATS, tables_of
from cmfl_export.provenance import C2paState, inspect

_SAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """The header of one file.

    `jpeg_quality` (1..100) is the quality with the nearest standard tables. `jpeg_tables` tells whether the
    file has these tables (`75`; encoders round them differently) or others (`~82 #1f3a09`). `jpeg_digest`
    differs if any digit of the tables differs. For other formats than JPEG `jpeg_quality` is None, and the
    texts and `chroma` are empty. `mode` is Pillow's: `RGB`, `L` (grey), `CMYK`, `P`, `RGBA`, ... `alignment`
    is the text that `cmfl align` writes into its crops; empty in other files. `source` is what the file says
    of its source: source type, generator, state of a C2PA manifest; empty where it says nothing.
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
    source: str = ""


def read_encoding(data: bytes) -> Encoding:
    """Reads the header of an image file that `cmfl_export.images.open_rgb` accepts, without decoding pixels.

    `width` and `height` are the stored ones, before any EXIF orientation.

    Raises:
        OSError: not an image in a format that `open_rgb` reads.
    """
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        tables, chroma = None, ""
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            tables, chroma = tables_of(image.quantization), _chroma(image)
        return Encoding(
            format="JPEG" if image.format == "MPO" else image.format or "",
            width=image.width,
            height=image.height,
            bytes=len(data),
            mode=image.mode,
            jpeg_quality=None if tables is None else tables.quality,
            jpeg_tables="" if tables is None else str(tables),
            jpeg_digest="" if tables is None else tables.digest,
            chroma=chroma,
            progressive=bool(image.info.get("progressive")),
            exif="exif" in image.info,
            icc=bool(image.info.get("icc_profile")),
            alignment=_alignment(image),
            source=_source(data),
        )


def _alignment(image: Image.Image) -> str:
    comment = image.info.get("comment", b"")
    if isinstance(comment, bytes) and comment.startswith(MARKER.encode()):
        return comment.decode("ascii", "replace").removeprefix(MARKER).strip()
    return str(image.info.get(MARKER, ""))


def _source(data: bytes) -> str:
    found = inspect(data)
    state = "" if found.c2pa_state is C2paState.ABSENT else f"C2PA {found.c2pa_state.value}"
    return ", ".join(filter(None, (found.source_type, found.generator, state)))


def _chroma(image: JpegImagePlugin.JpegImageFile) -> str:
    if len(image.layer) == 1:
        return "grey"
    sampling = JpegImagePlugin.get_sampling(image)
    if sampling in _SAMPLING:
        return _SAMPLING[sampling]
    return " ".join(f"{across}x{down}" for _, across, down, _ in image.layer)
