"""Does an image file reach as far as it says itself? Tells a truncated file from a damaged one."""

from __future__ import annotations

import os
from typing import BinaryIO

_TAIL = 1024


def lacks_its_end(stream: BinaryIO, length: int) -> bool:
    """True when a file of `length` bytes stops before the end that its format prescribes.

    Knows JPEG, PNG, GIF, WebP, BMP, TIFF, JPEG 2000 and AVIF by their first bytes; False for anything else.
    Moves the stream's position.
    """
    stream.seek(0)
    head = stream.read(16)
    stream.seek(max(0, length - _TAIL))
    tail = stream.read(_TAIL)
    result = False
    if head.startswith((b"\xff\xd8", b"\xff\x4f\xff\x51")):
        # JPEG and the bare JPEG 2000 code stream close with the same marker.
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
        # The directory, which a writer may put last.
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
            # "To the end of the file": a code stream then shows its own end.
            stream.seek(-2, os.SEEK_END)
            return header[4:8] == b"jp2c" and stream.read(2) != b"\xff\xd9"
        if size < 8:
            return True
        start += size
        if header[4:8] in (b"jp2c", b"mdat"):
            # The picture; what follows may be anything.
            return start > length
    return True
