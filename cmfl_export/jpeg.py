"""The markers of a JPEG file: how many scans it has, and whether the data of the picture is all there.

libjpeg fills up what is missing and only warns, and Pillow keeps the warning to itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from PIL.JpegImagePlugin import JpegImageFile

# What ends the data of a scan: neither a stuffed zero, nor a restart, nor a filling byte.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
# What may follow a scan: tables, another scan, the number of lines, application data, comments, the end.
_BETWEEN = {0xC4, 0xCC, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}
_STOP = 2000

# So many equal bytes in a row may be a hole. In flat areas sound files have them, too.
_HOLE = 16
_LONG_HOLE = 64
# The decoder keeps up to eight bytes in hand.
_IN_HAND = 24


@dataclass
class Survey:
    """What the markers say.

    Attributes:
        scans: how many scans there are; counting stops at 2,000.
        whole: whether the picture's data is all there, as far as markers can tell.
        doubt: where a run of equal bytes begins in the one scan of a sequential file, and where that scan
            ends: whether the run is a hole only decoding tells, see `load_in_doubt`.
    """

    scans: int = 0
    progressive: bool = False
    whole: bool = False
    doubt: tuple[int, int] | None = None
    _interval: int = 0
    _missing: dict[int, list[int]] = field(default_factory=dict)  # component -> bits to come, per coefficient
    _run: tuple[int, int] | None = None


def survey(data: bytes) -> Survey:
    """Reads the markers from the beginning of a JPEG file to the end of its first picture."""
    found = Survey()
    position = 2
    while found.scans <= _STOP and (position := data.find(b"\xff", position)) >= 0:
        code = data[position + 1] if position + 1 < len(data) else 0xFF
        if code == 0xFF:
            position += 1
        elif code in (0x00, 0x01, 0xD8) or 0xD0 <= code <= 0xD7:
            position += 2
        elif code == 0xD9:
            found.whole = found.scans > 0 and not any(any(bits) for bits in found._missing.values())
            break
        else:
            length = int.from_bytes(data[position + 2 : position + 4], "big")
            segment = data[position + 4 : position + 2 + length]
            if length < 2 or len(segment) < length - 2 or (found.scans and code not in _BETWEEN):
                break
            position += 2 + length
            if code in _FRAMES:
                _frame(found, code, segment)
            elif code == 0xDD:
                found._interval = int.from_bytes(segment[:2], "big")
            elif code == 0xDA:
                end = _END_OF_SCAN.search(data, position)
                if end is None or not _scan(found, segment, data, position, end.start()):
                    break
                position = end.start()
    if found.whole and found.scans == 1 and not found.progressive and not found._interval:
        found.doubt = found._run
    return found


def load_in_doubt(image: JpegImageFile, data: bytes, doubt: tuple[int, int]) -> bool:
    """Loads the picture; False when the run of equal bytes is a hole, so that the pixels are wrong.

    Sound data ends with the picture. With a hole in it, the decoder is through with the picture before the
    data ends, or is not when it does.
    """
    start, end = doubt
    written: list[bool] = []
    mark = {"L": 3, "RGB": (1, 254, 3), "CMYK": (1, 254, 3, 252)}[image.mode]
    places = [(x, image.height - 1) for x in {0, image.width // 2, image.width - 1}]

    def look() -> None:
        written.append(any(image.im.getpixel(place) != mark for place in places))

    def begin() -> None:
        for place in places:
            image.im.putpixel(place, mark)

    stages = [
        # A run behind the picture is padding.
        (data[: start + _IN_HAND], look),
        (data[start + _IN_HAND : end - _IN_HAND], look),
        # With something behind it the decoder uses the data up.
        (data[max(end - _IN_HAND, start + _IN_HAND) : end] + bytes(2 * _IN_HAND), look),
        (data[end:], lambda: None),
    ]
    image.fp = _Stages(begin, stages)  # type: ignore[assignment]
    image.load()
    padding, early, complete = (*written, False, False, False)[:3]
    # Nothing was looked at where the decoder had enough before the run.
    return not written or padding or (complete and not early)


class _Stages:
    """A file that is read in pieces, and calls back when a piece is used up and the next one is asked for."""

    def __init__(self, begin: Callable[[], None], stages: Iterable[tuple[bytes, Callable[[], None]]]) -> None:
        self._begin: Callable[[], None] | None = begin
        self._stages = iter(stages)
        self._rest = b""
        self._after: Callable[[], None] = lambda: None

    def seek(self, position: int, whence: int = 0) -> int:
        return 0

    def read(self, size: int) -> bytes:
        if self._begin is not None:
            self._begin()
            self._begin = None
        while not self._rest:
            self._after()
            piece = next(self._stages, None)
            if piece is None:
                return b""
            self._rest, self._after = piece
        given, self._rest = self._rest[:size], self._rest[size:]
        return given


def _frame(found: Survey, code: int, segment: bytes) -> None:
    found.progressive = code in _PROGRESSIVE
    parts: Any = [segment[start : start + 3] for start in range(6, len(segment) - 2, 3)]
    # -1 bits have come of a coefficient that no scan had: 1 stands for "something is missing".
    found._missing = {part[0]: [1] * (64 if found.progressive else 1) for part in parts}


def _scan(found: Survey, segment: bytes, data: bytes, start: int, end: int) -> bool:
    """Notes one scan; False when its header is not understood."""
    found.scans += 1
    count = segment[0] if segment else 0
    if len(segment) < 4 + 2 * count:
        return False
    first, last, bits = segment[1 + 2 * count], segment[2 + 2 * count], segment[3 + 2 * count] & 15
    if not found.progressive:
        first = last = bits = 0
    for component in segment[1 : 1 + 2 * count : 2]:
        if component in found._missing and last < 64:
            found._missing[component][first : last + 1] = [bits] * (last + 1 - first)
    while end > start and data[end - 1] == 0xFF:
        # Filling bytes in front of the marker.
        end -= 1
    holes = [data.find(bytes([value]) * _HOLE, start, end) for value in (0x00, 0xFF)]
    begin = min((hole for hole in holes if hole >= 0), default=-1)
    # From the first block on it is a flat picture, which is written so.
    if begin >= start + _HOLE:
        found._run = begin, end
        if found._interval:
            numbers = [int(match.group()[1]) & 7 for match in _RESTART.finditer(data, start, end)]
            # Restarts count to eight. Where they do, each mends what was before it.
            return numbers == [number & 7 for number in range(len(numbers))]
        if (
            found.progressive
            and first > 0
            and bytes([data[begin]]) * _LONG_HOLE == data[begin : begin + _LONG_HOLE]
        ):
            # Blocks without details are counted there, not written one by one.
            return False
    return True
