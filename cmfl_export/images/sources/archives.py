"""The pictures of an archive, in order, and the member that a text names."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from ..status import ImageError, Status
from . import parquets, tars, zips
from .names import archive_kind, member_of, scheme_of, split_member
from .place import Content, Fault, Located, Place, Span
from .store_file import open_binary

# Members that are read while the stream of an object passes; larger ones are read by themselves.
_MOST_CARRIED = 1 << 23
# Of a compressed archive, which cannot be read in parts.
MOST_COMPRESSED = 1 << 25
# Passing over a member of a compressed archive unpacks it, as much as that may be.
_MOST_PASSED = 1 << 32
_INDEXES = 4
# Threads that ask for members of one archive wait for its index, and do not each make it.
_one_index_at_a_time = threading.Lock()


def members(
    archive: str, wanted: Callable[[str], bool], column: str | None = None, first: int = 0
) -> Iterator[Located]:
    """Yields the members whose names are wanted, in order; of a Parquet file all rows.

    A damaged archive gives the members before the damage and then itself, with the reason.

    Args:
        archive: a file or an address with the ending of an archive.
        wanted: whether a member of this name is a picture.
        column, first: of a Parquet file, see `parquets.rows`.

    Raises:
        PackageError: a package is missing.
        InputError: a Parquet file has no such column.
    """
    if split_member(member_of(archive, "x")) != (archive, "x"):
        message = "the name of an archive must not contain another archive's, as in a.tar::b.tar; rename it"
        yield Located(archive, Fault(Status.UNSUPPORTED, message))
        return
    try:
        for name, place in places(archive, wanted, column, first):
            yield Located(member_of(archive, name), place)
    except ImageError as error:
        yield Located(archive, Fault(error.status, error.message))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        status = Status.TRUNCATED if isinstance(error, EOFError) else Status.UNREADABLE
        yield Located(archive, Fault(status, "the archive is damaged: the members behind are not read"))
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        status = Status.PERMISSION_DENIED if isinstance(error, PermissionError) else Status.UNREADABLE
        yield Located(archive, Fault(status, reason))


def places(
    archive: str, wanted: Callable[[str], bool], column: str | None = None, first: int = 0
) -> Iterator[tuple[str, Place]]:
    """Yields name and place of the wanted members; raises what ends the archive early.

    Raises:
        ImageError, OSError, EOFError, zlib.error: the archive cannot be read, or not to its end.
        PackageError, InputError: as in `members`.
    """
    kind = archive_kind(archive)
    with open_binary(archive) as stream:
        if kind == "zip":
            yield from ((name, place) for name, place in zips.entries(archive, stream) if wanted(name))
        elif kind == "parquet":
            yield from parquets.rows(stream, column, first)
        elif kind == "tar.gz":
            with gzip.GzipFile(fileobj=stream) as unpacked:
                yield from _of_tar(None, unpacked, wanted, MOST_COMPRESSED)  # type: ignore[arg-type]
        else:
            yield from _of_tar(archive, stream, wanted, _MOST_CARRIED if scheme_of(archive) else 0)


def place_of(archive: str, name: str) -> Place:
    """Returns the place of a member by its name: of several with one name the last, as unpacking does.

    In a compressed tar it is the first, for whose sake the rest is not unpacked.

    Raises:
        ImageError, OSError, EOFError, zlib.error: there is none, or the archive cannot be read.
        PackageError: a package is missing.
    """
    kind = archive_kind(archive)
    if kind == "parquet":
        return Row(archive, name)
    if kind == "tar.gz":
        found = next((place for _, place in places(archive, lambda other: other == name)), None)
        damage = None
    else:
        with _one_index_at_a_time:
            index, damage = _index(archive, _state(archive))
        found = index.get(name)
    if found is None:
        raise damage or ImageError(Status.NOT_FOUND, "the archive has no such member")
    return found


@lru_cache(maxsize=_INDEXES)
def _index(archive: str, _state: object) -> tuple[dict[str, Place], ImageError | None]:
    """The place of each member by its name, and the damage that ends the archive early."""
    found: dict[str, Place] = {}
    try:
        with open_binary(archive) as stream:
            if archive_kind(archive) == "zip":
                found.update(zips.entries(archive, stream))
            else:
                found.update((entry.name, _in_place(archive, entry)) for entry in tars.entries(stream))
    except ImageError as error:
        if error.status is Status.UNAVAILABLE:
            raise
        return found, error
    return found, None


def _state(archive: str) -> object:
    if scheme_of(archive):
        return None
    info = Path(archive).stat()
    return info.st_ino, info.st_size, info.st_mtime_ns


def _of_tar(
    archive: str | None, stream: BinaryIO, wanted: Callable[[str], bool], most: int
) -> Iterator[tuple[str, Place]]:
    """The wanted members of a tar; those of up to `most` bytes are read while the stream is at them."""
    for entry in tars.entries(stream):
        if archive is None and entry.size > _MOST_PASSED:
            message = f"a member has {entry.size} bytes; unpack the archive first"
            raise ImageError(Status.TOO_LARGE, message)
        if not wanted(entry.name):
            continue
        if entry.why or not 0 < entry.size <= most:
            yield entry.name, _in_place(archive, entry)
            continue
        data = stream.read(entry.size)
        if len(data) < entry.size:
            yield entry.name, Fault(Status.TRUNCATED, "the archive ends too early")
        else:
            yield entry.name, Content(data)


def _in_place(archive: str | None, entry: tars.Entry) -> Place:
    if entry.why:
        return Fault(Status.NOT_A_FILE, entry.why)
    if archive is not None:
        return Span(archive, entry.offset, entry.size)
    if entry.size == 0:
        return Content(b"")
    message = f"{entry.size} bytes, more than the limit of {MOST_COMPRESSED} in a compressed tar"
    return Fault(Status.TOO_LARGE, message)


@dataclass(frozen=True, slots=True)
class Member:
    """The place of a member that is looked for when it is read."""

    archive: str
    name: str

    def read(self, limit: int) -> bytes:
        try:
            return place_of(self.archive, self.name).read(limit)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ImageError(Status.UNREADABLE, "the archive is damaged") from error


@dataclass(frozen=True, slots=True)
class Row:
    """The place of a row of a Parquet file. To read one takes its whole row group."""

    archive: str
    name: str

    def read(self, limit: int) -> bytes:
        column, number = parquets.number_in(self.name)
        with open_binary(self.archive) as stream:
            for _, place in parquets.rows(stream, column, first=number):
                return place.read(limit)
        raise ImageError(Status.NOT_FOUND, "the Parquet file has no such row")
