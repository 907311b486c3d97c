"""Members of a zip archive: the directory is read once, then each member by itself."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..status import ImageError, Status
from .place import Fault, Place, read_part, refuse_large

# A directory of a million members has about 100 MB.
_MOST_AT_ONCE = 1 << 28
_LOCAL_HEADER = 30
# Names and extra fields in front of the data may differ from those in the directory.
_SLACK = 1 << 10


@dataclass(frozen=True, slots=True)
class ZipMember:
    """The place of a stored or deflated member; `offset` is that of its local header."""

    archive: str
    offset: int
    packed: int
    size: int
    crc: int
    deflated: bool

    def read(self, limit: int) -> bytes:
        refuse_large(self.size, limit)
        # Deflate does not grow by more than this, so that a larger number is a lie.
        refuse_large(self.packed, limit + limit // 100 + _SLACK)
        data = read_part(self.archive, self.offset, _LOCAL_HEADER + _SLACK + self.packed)
        if len(data) < _LOCAL_HEADER or not data.startswith(b"PK\3\4"):
            raise _damaged()
        start = _LOCAL_HEADER + int.from_bytes(data[26:28], "little") + int.from_bytes(data[28:30], "little")
        if start > _LOCAL_HEADER + _SLACK:
            data = read_part(self.archive, self.offset, start + self.packed)
        packed = data[start : start + self.packed]
        if len(packed) < self.packed:
            raise ImageError(Status.TRUNCATED, "the archive ends too early")
        content = _inflated(packed, self.size) if self.deflated else packed
        if len(content) != self.size or zlib.crc32(content) != self.crc:
            raise _damaged()
        return content


def entries(archive: str, stream: BinaryIO) -> Iterator[tuple[str, Place]]:
    """Yields name and place of the members that are no folders, in order of the archive's directory.

    Args:
        archive: the file or the address.
        stream: its bytes; can seek.

    Raises:
        ImageError: the archive is damaged.
    """
    try:
        with zipfile.ZipFile(_Bounded(stream)) as opened:
            members = opened.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        text = "not a zip archive, or its end is missing" if not zipfile.is_zipfile(stream) else "damaged"
        raise ImageError(Status.UNREADABLE, f"the archive cannot be read: {text}") from error
    for info in members:
        if not info.is_dir():
            yield info.filename, _place(archive, info)


def _place(archive: str, info: zipfile.ZipInfo) -> Place:
    if stat.S_ISLNK(info.external_attr >> 16):
        return Fault(Status.NOT_A_FILE, "a link inside the archive, which is not followed")
    if info.flag_bits & 0x41:
        return Fault(Status.UNSUPPORTED, "encrypted; unpack the archive first")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return Fault(Status.UNSUPPORTED, "packed by another method than deflate; pack the archive again")
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    return ZipMember(archive, info.header_offset, info.compress_size, info.file_size, info.CRC, deflated)


def _inflated(packed: bytes, size: int) -> bytes:
    try:
        # One byte more than the directory says, to notice that there is more.
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)
    except zlib.error as error:
        raise _damaged() from error


def _damaged() -> ImageError:
    return ImageError(Status.UNREADABLE, "the member is damaged, or is not what the archive's directory says")


class _Bounded:
    """A stream that refuses to read more at once than a directory can have."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, size: int = -1) -> bytes:
        if size > _MOST_AT_ONCE:
            raise ImageError(Status.TOO_LARGE, f"the archive's directory has {size} bytes")
        return self._stream.read(size)

    def seekable(self) -> bool:
        return True
