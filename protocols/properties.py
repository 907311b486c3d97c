"""The properties that the shortcut audit examines, and what to do if one reveals the class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from .encoding import Encoding
from .traces import Floats, Traces


class Kind(StrEnum):
    """Where a property comes from."""

    FILE = "file"  # how the file was written, not generated, so it must not separate the classes
    METADATA = "metadata"  # in the file and hardly in the pixels: shows where a file comes from
    SIGNAL = "signal"  # in the pixels; a trace of the processing, or of a generator


@dataclass(frozen=True, slots=True)
class Property:
    """One property: a `label` (a category), an ordered `number`, both, or `features`."""

    name: str
    kind: Kind
    advice: str
    label: Callable[[Encoding, Traces], str] | None = None
    number: Callable[[Encoding, Traces], float] | None = None
    features: Callable[[Encoding, Traces], Floats] | None = None


_RE_ENCODE = "write both classes again with one encoder: the same format, quality and chroma subsampling"


def _joined(*parts: str) -> str:
    return " ".join(filter(None, parts))


PROPERTIES = (
    Property(
        "resolution",
        Kind.FILE,
        "bring both classes to one size, from larger originals and with the same resize kernel",
        label=lambda file, _: f"{file.width}x{file.height}",
        number=lambda file, _: float(file.width * file.height),
    ),
    Property(
        "aspect ratio",
        Kind.FILE,
        "crop both classes to one shape",
        number=lambda file, _: file.width / file.height,
    ),
    Property("file format", Kind.FILE, _RE_ENCODE, label=lambda file, _: file.format),
    Property(
        "JPEG quality",
        Kind.FILE,
        _RE_ENCODE,
        label=lambda file, _: file.jpeg_tables or "no JPEG",
        number=lambda file, _: 101 if file.jpeg_quality is None else file.jpeg_quality,
    ),
    Property("chroma subsampling", Kind.FILE, _RE_ENCODE, label=lambda file, _: file.chroma or "no JPEG"),
    Property(
        "colour mode",
        Kind.FILE,
        "convert both classes to plain RGB before writing them",
        label=lambda file, _: file.mode,
    ),
    Property(
        "grey pictures",
        Kind.FILE,
        "leave grey pictures out, or use equally many in both classes",
        label=lambda _, traces: "grey" if traces.grey else "colour",
    ),
    Property(
        "ICC profile",
        Kind.FILE,
        "convert both classes to sRGB and write them without a profile",
        label=lambda file, _: "with profile" if file.icc else "none",
    ),
    Property(
        "file properties together",
        Kind.FILE,
        "put both classes through one pipeline: the same decoder, resize kernel, size and encoder",
        label=lambda file, _: _joined(
            file.format,
            f"{file.width}x{file.height}",
            file.mode,
            file.jpeg_tables,
            file.chroma,
            "ICC" if file.icc else "",
        ),
    ),
    Property(
        "EXIF data",
        Kind.METADATA,
        "no network sees it, but it shows two ways of processing; write both classes again",
        label=lambda file, _: "with EXIF" if file.exif else "none",
    ),
    Property(
        "stated source",
        Kind.METADATA,
        "no network sees it, but files of one class say that they were generated; write both classes again",
        label=lambda file, _: file.source or "none",
    ),
    Property(
        "JPEG table details",
        Kind.METADATA,
        "the tables differ, if only by rounding, so two encoders were used; write both classes again",
        label=lambda file, _: f"#{file.jpeg_digest}" if file.jpeg_digest else "no JPEG",
    ),
    Property(
        "progressive JPEG",
        Kind.METADATA,
        "no network sees it, but it shows that two encoders were used; write both classes again",
        label=lambda file, _: "progressive" if file.progressive else "baseline",
    ),
    Property(
        "cmfl align",
        Kind.METADATA,
        "two resamplings changed the spectrum of one class only; align both classes alike, from originals",
        label=lambda file, _: file.alignment or "not aligned by it",
    ),
    Property(
        "bytes per pixel",
        Kind.SIGNAL,
        "the classes differ in detail or in compression; compare how the files were written",
        number=lambda file, _: file.bytes / (file.width * file.height),
    ),
    Property(
        "resampling",
        Kind.SIGNAL,
        "one class looks resized (or aligned) and the other not; resize both alike",
        label=lambda _, traces: traces.period,
        number=lambda _, traces: traces.resampling,
    ),
    Property(
        "8x8 blocks",
        Kind.SIGNAL,
        "the classes show different traces of JPEG compression; trace how each was compressed before",
        label=lambda _, traces: traces.grid,
        number=lambda _, traces: traces.blocks,
    ),
    Property(
        "31 radial spectrum bins",
        Kind.SIGNAL,
        "a generator's own spectrum, or another resize kernel or sharpening in one class; "
        "put originals of both classes through exactly the same processing and compare",
        features=lambda _, traces: traces.radial,
    ),
    Property(
        "8x8 thumbnail",
        Kind.SIGNAL,
        "the classes differ in framing, background or colours; align and crop both alike, and look at them",
        features=lambda _, traces: traces.thumbnail,
    ),
)


def typical(labels: npt.NDArray[np.str_]) -> str:
    """Returns the most frequent label, with its share if there are others."""
    names, counts = np.unique(labels, return_counts=True)
    share = counts.max() / counts.sum()
    name = str(names[counts.argmax()])
    return name if share == 1 else f"{name} ({share:.0%})"
