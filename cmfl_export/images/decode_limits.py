"""Limits on the time and memory of decoding one picture or video. All threads share the memory."""

from __future__ import annotations

import math
import os
import re
import struct
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import BinaryIO

from PIL.ImageFile import ImageFile

# CPU time of the decoding thread, so that a busy machine does not shorten the limit.
MOST_SECONDS = 20.0
MOST_BYTES = 1 << 31

# Of a video: frames that are scored, and the time of its decoding, which may be 20 times that of showing it.
MOST_FRAMES = 100_000
_MOST_VIDEO_SECONDS = 4 * 3600.0
_FREE_VIDEO_SECONDS, _VIDEO_SECONDS_A_SECOND = 60.0, 20.0

# Pictures that need less, up to about 2,000 x 2,000 pixels, take no lock.
_FREE_BYTES = 1 << 25
# Smaller files decode quickly whatever they contain, so their time is not measured.
_UNTIMED_BYTES = 1 << 16

# Every scan, even an empty one, goes over all coefficients. Encoders write about ten.
_MOST_SCANS = 1000
_MOST_SCANNED = 2_000_000_000
# Pillow decodes run lengths in Python, pixel by pixel and without reading in between.
_MOST_RUN_LENGTH_PIXELS = 16_000_000
_MOST_PACKETS = 4_000_000

# Rough bytes per pixel while decoding: Pillow's picture and its copy as RGB. WebP, AVIF and HEIC keep several
# canvases, JPEG 2000 32 bits per sample, progressive JPEG all coefficients.
_BYTES_PER_PIXEL = {"WEBP": 16, "AVIF": 16, "HEIF": 16, "JPEG2000": 20}
_USUAL_BYTES_PER_PIXEL = 8
_DEEP_BYTES_PER_PIXEL = 28
_COEFFICIENT_BYTES_PER_PIXEL = 6


class TooSlowError(Exception):
    """Decoding the picture would take, or has taken, longer than the limit."""


class Room:
    """A budget of memory that all decoding threads share. Threads that find too little wait in order.

    A picture that needs more than the whole budget is decoded while no other is. Each picture asks only once,
    so that it cannot wait for itself.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.clear()

    def clear(self) -> None:
        """Forgets all holders and waiters. Used after a fork, when the child has none of these threads."""
        self._held = 0
        self._waiting: deque[object] = deque()
        self._changed = Condition()

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        """Holds `size` bytes during the block; small sizes take no lock."""
        if size <= _FREE_BYTES:
            yield
            return
        self._enter(size)
        try:
            yield
        finally:
            with self._changed:
                self._held -= size
                self._changed.notify_all()

    def _enter(self, size: int) -> None:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and self._has(size))
                self._held += size
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def _has(self, size: int) -> bool:
        return not self._held or self._held + size <= self._size


room = Room(MOST_BYTES)
os.register_at_fork(after_in_child=room.clear)


class _Timed:
    """A file whose `read` fails once the time is over: the only way to stop a decoder in a thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._read = stream.read
        self.seek = stream.seek
        self.tell = stream.tell
        self._end = time.thread_time() + MOST_SECONDS

    def read(self, size: int = -1) -> bytes:
        if time.thread_time() > self._end:
            raise TooSlowError(f"not decoded after {MOST_SECONDS:g} s")
        return self._read(size)


def timed(stream: BinaryIO, length: int, head: bytes) -> BinaryIO:
    """The stream with a time limit; the stream itself for short files and those not read step by step."""
    # libtiff reads through the file descriptor; AVIF and WebP are read at once.
    whole = head.startswith((b"II", b"MM", b"RIFF")) or head[4:8] == b"ftyp"
    return stream if length < _UNTIMED_BYTES or whole else _Timed(stream)  # type: ignore[return-value]


class VideoClock:
    """The time that decoding a video takes, apart from the time in which nobody asks for frames.

    Attributes:
        shown: how far the video is, in milliseconds.
    """

    def __init__(self) -> None:
        self.shown = 0
        self._spent = 0.0
        self._since: float | None = None

    def run(self) -> None:
        """Goes on."""
        self._since = time.monotonic()

    def pause(self) -> None:
        """Stands still."""
        if self._since is not None:
            self._spent += time.monotonic() - self._since
        self._since = None

    def check(self) -> None:
        """Checks the time.

        Raises:
            TooSlowError: it is over.
        """
        spent = self._spent + (0.0 if self._since is None else time.monotonic() - self._since)
        allowed = min(_FREE_VIDEO_SECONDS + _VIDEO_SECONDS_A_SECOND * self.shown / 1000, _MOST_VIDEO_SECONDS)
        if spent > allowed:
            raise TooSlowError(f"{spent:.0f} s of decoding, with {self.shown / 1000:.3f} s of the video done")


def webp_pixels(head: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP picture from its first 30 bytes, because opening it takes the memory."""
    if not (head.startswith(b"RIFF") and head[8:12] == b"WEBP" and len(head) >= 30):
        return None
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", head, 26)
    return width & 0x3FFF, height & 0x3FFF


def bytes_to_decode(format: str | None, mode: str, pixels: int, *, progressive: bool = False) -> int:
    """A rough estimate of the memory that decoding takes, in bytes."""
    each = _BYTES_PER_PIXEL.get(format or "", _USUAL_BYTES_PER_PIXEL)
    if mode[0] in "IF":
        each += _DEEP_BYTES_PER_PIXEL
    return pixels * (each + _COEFFICIENT_BYTES_PER_PIXEL * progressive)


def check_scans(scans: int, pixels: int) -> None:
    """Checks the number of a JPEG's scans, each of which goes over the whole picture.

    Raises:
        TooSlowError: there are too many.
    """
    if scans > _MOST_SCANS or scans * pixels > _MOST_SCANNED:
        number = f"more than {_MOST_SCANS}" if scans > _MOST_SCANS else str(scans)
        raise TooSlowError(f"{number} scans of {pixels} pixels")


def check_header(image: ImageFile, stream: BinaryIO) -> None:
    """Checks the header of an opened BMP or JPEG 2000 picture. Keeps the stream's position.

    Raises:
        TooSlowError: decoding would take too long.
    """
    pixels = image.width * image.height
    if image.format == "BMP" and image.tile and image.tile[0].codec_name == "bmp_rle":
        if pixels > _MOST_RUN_LENGTH_PIXELS:
            raise TooSlowError(f"{pixels} pixels of run lengths, more than {_MOST_RUN_LENGTH_PIXELS}")
    elif image.format == "JPEG2000":
        position = stream.tell()
        stream.seek(0)
        packets = _packets(stream.read(1 << 16))
        stream.seek(position)
        if packets > _MOST_PACKETS:
            raise TooSlowError(f"{packets} packets, more than {_MOST_PACKETS}")


def _packets(data: bytes) -> int:
    """The number of packets in a JPEG 2000 code stream: tiles, components, resolutions, layers, precincts."""
    start = data.find(b"\xff\x4f\xff\x51")
    coding = re.compile(rb"\xff\x52").search(data, max(start, 0))
    if start < 0 or coding is None:
        return 0
    try:
        width, height, left, top, across, down, tile_left, tile_top, components = struct.unpack_from(
            ">8IH", data, start + 8
        )
        style, _, layers, _, levels = struct.unpack_from(">BBHBB", data, coding.start() + 4)
        precincts = data[coding.start() + 14 : coding.start() + 15 + levels] if style & 1 else b""
        # One byte per resolution: the exponents of width and height, a nibble each.
        sides = [(1 << (value & 15), 1 << (value >> 4)) for value in precincts]
        tiles = math.ceil((width - tile_left) / across) * math.ceil((height - tile_top) / down)
        places = sum(
            max(1, math.ceil((width - left) / (wide << levels - level)))
            * max(1, math.ceil((height - top) / (high << levels - level)))
            for level, (wide, high) in enumerate(sides)
        )
    except (struct.error, ZeroDivisionError):
        return 0
    return int(components * layers * max(tiles * (levels + 1), places))
