"""Members of a tar archive, read from the front: names, places and kinds, in bounded memory.

The standard `tarfile` reads extended headers of any size into memory and keeps every member.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from ..status import ImageError, Status

_BLOCK = 512
# Names and attributes; a system's longest path has 4 kB.
_MOST_HEADER = 1 << 20
_EXTENDED = (b"x", b"L", b"K", b"g")


class Entry(NamedTuple):
    """A member: its name, where its bytes are, and why it has none (a message of `not_a_file`), else ""."""

    name: str
    offset: int
    size: int
    why: str


def entries(stream: BinaryIO) -> Iterator[Entry]:
    """Yields the members that are no folders, in order; the stream then is at the member's first byte.

    The stream is only moved forward. The caller may read the member before it goes on.

    Raises:
        ImageError: the archive is damaged or ends without its end mark; the members before were yielded.
    """
    position = 0
    given: dict[str, bytes] = {}
    while True:
        block = stream.read(_BLOCK)
        if not block and not position:
            raise ImageError(Status.EMPTY, "the archive is empty")
        if len(block) < _BLOCK:
            raise ImageError(
                Status.TRUNCATED, "the archive ends without its end mark: members may be missing"
            )
        position += _BLOCK
        if not any(block):
            return
        header = _parsed(block, position)
        if header.type in _EXTENDED:
            position += _attributes(stream, header, given)
            continue
        name, size = _name_and_size(header, given)
        if header.type == tarfile.GNUTYPE_SPARSE:
            position += _pass_sparse_headers(stream, block)
        # Links and devices may state a size, but have no data.
        size = size if header.isreg() or header.type not in tarfile.SUPPORTED_TYPES else 0
        if not (header.isdir() or (header.type == tarfile.AREGTYPE and name.endswith("/"))):
            yield Entry(name, position, size, _why_no_file(header, given))
        given = {}
        position += size + -size % _BLOCK
        stream.seek(position)


def _parsed(block: bytes, position: int) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        if position == _BLOCK:
            raise ImageError(Status.UNREADABLE, "not a tar archive") from error
        raise _damaged() from error
    if header.size < 0:
        raise _damaged()
    return header


def _damaged() -> ImageError:
    return ImageError(Status.UNREADABLE, "the archive is damaged: the members behind this place are not read")


def _attributes(stream: BinaryIO, header: tarfile.TarInfo, given: dict[str, bytes]) -> int:
    """Adds the attributes of an extended header to `given`; returns the bytes that it takes."""
    if header.size > _MOST_HEADER:
        raise ImageError(Status.UNREADABLE, f"the archive has a header of {header.size} bytes and is damaged")
    whole = header.size + -header.size % _BLOCK
    data = stream.read(whole)
    if len(data) < whole:
        raise ImageError(Status.TRUNCATED, "the archive ends too early")
    data = data[: header.size]
    if header.type == b"L":
        given["path"] = data.partition(b"\0")[0]
    elif header.type == b"x":
        given.update(_records(data))
    return whole


def _records(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The records of a PAX header: `length key=value` and a newline each."""
    while data:
        digits, blank, _ = data[:24].partition(b" ")
        if not (blank and digits.isdigit() and len(digits) < len(data[: int(digits)])):
            raise _damaged()
        length = int(digits)
        key, equals, value = data[len(digits) + 1 : length - 1].partition(b"=")
        if not equals:
            raise _damaged()
        yield key.decode("utf-8", "surrogateescape"), value
        data = data[length:]


def _name_and_size(header: tarfile.TarInfo, given: dict[str, bytes]) -> tuple[str, int]:
    name = given.get("GNU.sparse.name", given.get("path"))
    size = given.get("size", b"")
    if size and not (size.isdigit() and len(size) < 20):
        raise _damaged()
    return (
        header.name if name is None else name.decode("utf-8", "surrogateescape"),
        int(size) if size else header.size,
    )


def _why_no_file(header: tarfile.TarInfo, given: dict[str, bytes]) -> str:
    if header.issym() or header.islnk():
        return "a link inside the archive, which is not followed"
    if header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in given):
        return "a sparse file inside the archive, which is not read"
    return "" if header.isreg() else "not a regular file"


def _pass_sparse_headers(stream: BinaryIO, block: bytes) -> int:
    """Passes over the further headers of an old GNU sparse file; returns their bytes."""
    count, more = 0, block[482]
    while more:
        block = stream.read(_BLOCK)
        if len(block) < _BLOCK:
            raise ImageError(Status.TRUNCATED, "the archive ends too early")
        count += _BLOCK
        more = block[504]
    return count
