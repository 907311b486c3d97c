"""Which container a video file is, by its first bytes, and whether the end of the file is missing."""

from __future__ import annotations

from typing import BinaryIO, Literal

# The names of the demuxers that may read a file. All others, such as playlists, could open further files.
Container = Literal["mov", "matroska", "avi", "mpegts"]

HEAD = 400
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_MOST_BOXES = 100_000
_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
# Transport streams: packets of 188 bytes; those of cameras have a time stamp of 4 bytes in front of each.
_SYNC = ord("G")


def container_of(head: bytes) -> Container | None:
    """The container that begins with these bytes, of which there should be `HEAD`; None if it is unknown."""
    if head[4:8] in _BOXES:
        return "mov"
    if head.startswith(_EBML):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    for first, size in ((0, 188), (4, 192)):
        places = head[first::size]
        if len(places) > 1 and set(places) == {_SYNC}:
            return "mpegts"
    return None


def lacks_its_end(stream: BinaryIO, length: int, kind: Container) -> bool:
    """Whether the file ends before its container does. A transport stream does not say. Moves the stream."""
    if kind == "mov":
        return _boxes_end(stream, length) > length
    stream.seek(0)
    head = stream.read(HEAD)
    if kind == "matroska":
        return _segment_end(head) > length
    return kind == "avi" and int.from_bytes(head[4:8], "little") + 8 > length


def _boxes_end(stream: BinaryIO, length: int) -> int:
    """Where the last box of the file ends."""
    place = 0
    for _ in range(_MOST_BOXES):
        if place >= length:
            break
        stream.seek(place)
        header = stream.read(16)
        size = int.from_bytes(header[:4], "big")
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if size == 0:  # to the end of the file
            return length
        if len(header) < 8 or size < 8:
            return length + (len(header) < 8)
        place += size
    return place


def _segment_end(head: bytes) -> int:
    """Where the segment of a Matroska file ends; 0 where that is not said, as in a live recording."""
    place = head.find(_SEGMENT)
    if place < 0 or place + 5 > len(head):
        return 0
    place += len(_SEGMENT)
    width = 9 - head[place].bit_length()
    number = int.from_bytes(head[place : place + width], "big") & ((1 << 7 * width) - 1)
    return 0 if number == (1 << 7 * width) - 1 else place + width + number
