"""Reads each file of a protocol once, for all parts of the check."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cmfl_export.base.threads import in_order
from cmfl_export.images import MAX_FILE_BYTES, ImageError, open_rgb

from .duplicates import thumbnail
from .encoding import Encoding, read_encoding
from .traces import Traces, measure


@dataclass(frozen=True, slots=True)
class Sound:
    """The data kept of a file that decodes: some 1.5 kB, and 4 kB if it is in the audit's sample."""

    digest: bytes  # SHA-256
    thumbnail: npt.NDArray[np.uint8]  # [32, 32], grey
    audited: tuple[Encoding, Traces] | None


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that cannot be used, and why."""

    reason: str


Inspected = Sound | Broken


def inspect(path: Path, *, audited: bool, aligned: bool) -> Inspected:
    """Reads and decodes one file; with `audited` also reads its header and the traces in its pixels."""
    content = _content(path)
    try:
        image = open_rgb(content)
    except ImageError as error:
        return Broken(error.message)
    if not isinstance(content, bytes):
        # It could not be read before, but was decoded now: something is writing to it.
        return Broken("changed while it was read")
    found = (read_encoding(content), measure(image, aligned=aligned)) if audited else None
    return Sound(hashlib.sha256(content).digest(), thumbnail(image), found)


def inspect_all(
    paths: Sequence[Path], audited: Sequence[bool], *, aligned: bool, workers: int | None
) -> Iterator[Inspected]:
    """Inspects every path, in order, on threads (by default one per core of this process)."""
    return in_order(
        lambda item: inspect(item[0], audited=item[1], aligned=aligned),
        zip(paths, audited, strict=True),
        workers,
        name="check",
    )


def _content(path: Path) -> bytes | Path:
    """Returns the bytes of the file, or the path if it cannot be read: the decoder then gives the reason."""
    try:
        if path.is_file() and path.stat().st_size <= MAX_FILE_BYTES:
            return path.read_bytes()
    except OSError:
        pass
    return path
