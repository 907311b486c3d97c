"""Where the bytes of a picture are, when it is no file of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..status import ImageError, Status
from . import stores
from .names import scheme_of, shown


class Place(Protocol):
    """Where bytes are. Places can be pickled, and several threads may read one."""

    def read(self, limit: int) -> bytes:
        """Returns the bytes.

        Raises:
            ImageError: they cannot be read, or are more than `limit`.
            PackageError: a package for this store is missing.
        """
        ...


class Located(str):
    """The text of a picture, as its row has it, that knows where the bytes are."""

    place: Place

    def __new__(cls, text: str, place: Place) -> Located:
        """Takes the text, from which secrets are cut."""
        self = super().__new__(cls, shown(text))
        self.place = place
        return self

    def __reduce__(self) -> tuple[type[Located], tuple[str, Place]]:
        return Located, (str(self), self.place)


@dataclass(frozen=True, slots=True)
class Object:
    """A whole object of a store; `size` is -1 where it is unknown."""

    url: str
    size: int = -1

    def read(self, limit: int) -> bytes:
        refuse_large(self.size, limit)
        data = stores.read(self.url, 0, limit + 1)
        refuse_large(len(data), limit)
        return data


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a file or an object, which begins at `offset`."""

    container: str
    offset: int
    size: int

    def read(self, limit: int) -> bytes:
        refuse_large(self.size, limit)
        data = read_part(self.container, self.offset, self.size)
        if len(data) < self.size:
            raise ImageError(Status.TRUNCATED, "the archive ends too early")
        return data


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that have been read already."""

    data: bytes

    def read(self, limit: int) -> bytes:
        refuse_large(len(self.data), limit)
        return self.data


@dataclass(frozen=True, slots=True)
class Fault:
    """No bytes, but the reason why there are none."""

    status: Status
    message: str

    def read(self, limit: int) -> bytes:
        raise ImageError(self.status, self.message)


def read_part(container: str, offset: int, size: int) -> bytes:
    """Returns a part of a file or an object; fewer bytes where it ends.

    Raises:
        ImageError, OSError: it cannot be read.
    """
    if scheme_of(container):
        return stores.read(container, offset, size) if size else b""
    with Path(container).open("rb") as stream:
        stream.seek(offset)
        return stream.read(size)


def refuse_large(size: int, limit: int) -> None:
    """Checks a size.

    Raises:
        ImageError: it is more than `limit`.
    """
    if size > limit:
        raise ImageError(Status.TOO_LARGE, f"{size} bytes, more than the limit of {limit}")
