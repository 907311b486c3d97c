"""Checks whether an image file ends too early or lacks data, to tell truncated files from damaged ones."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO, Literal

_TAIL = 1024
_ZLIB_BLOCK = 1 << 20


class IncompleteError(EOFError):
    """A part of the picture's data is missing, although the file has its full length."""


def lacks_its_end(stream: BinaryIO, length: int) -> bool:
    """Whether a file of `length` bytes stops before the end that its format prescribes.

    Recognises JPEG, PNG, GIF, WebP, BMP, TIFF, JPEG 2000 and AVIF by their first bytes; False for anything
    else. Moves the stream's position.
    """
    stream.seek(0)
    head = stream.read(16)
    stream.seek(max(0, length - _TAIL))
    tail = stream.read(_TAIL)
    result = False
    if head.startswith((b"\xff\xd8", b"\xff\x4f\xff\x51")):
        # JPEG and the bare JPEG 2000 code stream end with the same marker.
        result = b"\xff\xd9" not in tail
    elif head.startswith(b"\x89PNG"):
        result = b"IEND" not in tail
    elif head.startswith(b"GIF8"):
        result = not tail.rstrip(b"\0").endswith(b";")
    elif head.startswith(b"RIFF"):
        result = length < 8 + int.from_bytes(head[4:8], "little")
    elif head.startswith(b"BM"):
        result = length < int.from_bytes(head[2:6], "little")
    elif head.startswith((b"II*\0", b"MM\0*")):
        # The offset of the directory, which a writer may put last.
        result = length <= int.from_bytes(head[4:8], "little" if head.startswith(b"I") else "big")
    elif head[4:8] in (b"ftyp", b"jP  "):
        result = _boxes_pass(stream, length)
    return result


def _boxes_pass(stream: BinaryIO, length: int) -> bool:
    """Whether an ISO base media file (AVIF, JP2) stops before the end of the box that holds the picture."""
    start = 0
    while start < length:
        stream.seek(start)
        header = stream.read(16)
        if len(header) < 8:
            return True
        size = int.from_bytes(header[:4], "big")
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if size == 0:
            # The box reaches to the end of the file: look for the end marker of a code stream.
            stream.seek(-2, os.SEEK_END)
            return header[4:8] == b"jp2c" and stream.read(2) != b"\xff\xd9"
        if size < 8:
            return True
        start += size
        if header[4:8] in (b"jp2c", b"mdat"):
            # This box holds the picture; anything may follow it.
            return start > length
    return True


def has_a_hole(stream: BinaryIO, length: int, pixels: int) -> bool:
    """Whether a PNG, WebP, AVIF or JPEG 2000 file has zeros or ones where picture data should be.

    Not all of their decoders notice. PNG data is compared with its checksums. The data of the others is
    searched for runs of equal bytes that are longer than a flat picture's. Moves the stream's position.
    """
    stream.seek(0)
    head = stream.read(16)
    if head.startswith(b"\x89PNG"):
        return any(
            name == b"IDAT" and not _matches(stream, size) for name, size in _chunks(stream, 8, length, "big")
        )
    longest, data = 64 + pixels // 4096, b""
    if head.startswith(b"RIFF"):
        name, data = _webp_data(stream, length)
        # Lossless data may take one bit per pixel.
        longest = 64 + pixels // 64 if name == b"VP8L" else longest
    elif head.startswith(b"\xff\x4f\xff\x51") or head[4:8] == b"jP  ":
        stream.seek(0)
        data = stream.read()
        # From the first tile's data to the end of the code stream.
        data = data[max(data.find(b"\xff\x93"), 0) : data.rfind(b"\xff\xd9")]
    elif head[4:8] == b"ftyp":
        stream.seek(0)
        data = stream.read()
        start = max(data.find(b"mdat"), 4)
        data = data[start : start - 4 + (int.from_bytes(data[start - 4 : start], "big") or len(data))]
        # Metadata may lie there, too; its runs are shorter than 1024 bytes.
        longest += 1024
    return any(bytes([value]) * longest in data for value in (0x00, 0xFF))


def _webp_data(stream: BinaryIO, length: int) -> tuple[bytes, bytes]:
    """Name and content of the WebP chunk that holds the pixels of the first picture."""
    for name, size in _chunks(stream, 12, length, "little"):
        if name == b"ANMF":
            # A frame has a header of 16 bytes, then chunks.
            frame = bytes(12) + stream.read(size)[16:]
            return _webp_data(BytesIO(frame), len(frame))
        if name in (b"VP8 ", b"VP8L"):
            return name, stream.read(size)
    return b"", b""


def _chunks(
    stream: BinaryIO, start: int, length: int, order: Literal["little", "big"]
) -> Iterator[tuple[bytes, int]]:
    """Yields name and size of each chunk of a PNG ("big") or RIFF file ("little").

    The stream then stands at the chunk's content.
    """
    name = b""
    while start + 8 <= length and name != b"IEND":
        stream.seek(start)
        header = stream.read(8)
        first, second = header[:4], header[4:]
        name, size = (second, first) if order == "big" else (first, second)
        yield name, int.from_bytes(size, order)
        start += 8 + int.from_bytes(size, order)
        start += 4 if order == "big" else start % 2


def _matches(stream: BinaryIO, size: int) -> bool:
    """Whether a chunk of PNG data matches the checksum that follows it."""
    checksum = zlib.crc32(b"IDAT")
    while size > 0 and (block := stream.read(min(size, _ZLIB_BLOCK))):
        checksum = zlib.crc32(block, checksum)
        size -= len(block)
    return stream.read(4) == checksum.to_bytes(4, "big")
