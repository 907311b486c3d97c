"""An input of a plan: its text, its size, and why it has no bytes where the plan found that out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..base.errors import InputError
from ..images import Fault, Located, Status, archive_kind, iter_paths, located, scheme_of, split_member

_UNLISTED = (Status.UNAVAILABLE, Status.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class Entry:
    """One input. `raw` is its text in the bytes of the system; `size` is None where it is unknown."""

    COLUMNS: ClassVar = ("path", "path_bytes", "size", "status", "error")

    raw: bytes
    size: int | None
    fault: Fault | None
    relative: bool

    @property
    def why(self) -> bytes:
        """The fault as bytes; empty without one."""
        return b"" if self.fault is None else f"{self.fault.status} {self.fault.message}".encode()

    def values(self) -> tuple[Any, ...]:
        """The values of COLUMNS; `path_bytes` only where the text is not UTF-8."""
        path = self.raw.decode("utf-8", "backslashreplace")
        fault = (None, None) if self.fault is None else (self.fault.status.value, self.fault.message)
        return (path, None if path.encode() == self.raw else self.raw, self.size, *fault)


def entry_of(text: str) -> Entry:
    """Returns the entry of what `iter_paths` yields.

    Raises:
        InputError: it stands for a listing that broke off; or its address holds a secret.
    """
    place = text.place if isinstance(text, Located) else None
    fault = place if isinstance(place, Fault) else None
    listing = split_member(text) is None and not archive_kind(text)
    if fault is not None and (listing or fault.status in _UNLISTED):
        raise InputError(f"{text} cannot be listed to its end: {fault.message}; a plan would lack inputs")
    for name in ("url", "container", "archive"):
        address = getattr(place, name, None)
        if address is not None and not text.startswith(address):
            raise InputError(
                f"{text} has a password or a signature, which a manifest must not hold; use predict"
            )
    relative = not scheme_of(text) and not Path(text).is_absolute()
    return Entry(os.fsencode(text), _size_of(text, place), fault, relative)


def text_of(row: Mapping[str, Any]) -> str:
    """Returns the input of a row with COLUMNS; with a fault it is `Located`."""
    path = row["path"] if row["path_bytes"] is None else os.fsdecode(row["path_bytes"])
    if row["status"] is None:
        return str(path)
    known = row["status"] in Status.__members__.values()
    return Located(path, Fault(Status(row["status"]) if known else Status.UNREADABLE, row["error"]))


def is_whole_archive(text: str) -> bool:
    """Whether an input of a plan stands for the pictures of an archive."""
    return not isinstance(text, Located) and bool(archive_kind(text)) and split_member(text) is None


def pictures_of(texts: Iterable[str], column: str | None = None) -> Iterator[str]:
    """Yields what a detector reads: the pictures of whole archives, and members of one archive in one pass.

    Args:
        texts: inputs of a plan.
        column: of whole Parquet files, see `iter_paths`.
    """

    def expanded() -> Iterator[str]:
        for text in texts:
            if is_whole_archive(text):
                yield from iter_paths([text], column=column)
            else:
                yield text

    return located(expanded())


def _size_of(text: str, place: Any) -> int | None:
    if place is not None:
        size = getattr(place, "size", None)
        size = len(place.data) if hasattr(place, "data") else size
        return None if size is None or size < 0 else int(size)
    if scheme_of(text):
        return None
    try:
        return Path(text).stat().st_size
    except (OSError, ValueError):
        return None
