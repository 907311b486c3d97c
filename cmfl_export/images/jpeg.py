"""The markers of a JPEG file: the number of its scans, and whether all of the picture's data is there.

libjpeg fills missing data and only warns, and Pillow does not pass the warning on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from PIL.JpegImagePlugin import JpegImageFile

# The data of a scan ends at a marker that is neither a stuffed zero nor a restart nor a fill byte.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
# These may follow a scan: tables, another scan, the number of lines, application data, comments, the end.
_BETWEEN = {0xC4, 0xCC, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}
_STOP = 2000

# This many equal bytes in a row may be a hole. Sound files have them in flat areas, too.
_HOLE = 16
_LONG_HOLE = 64
_MOST_PADDING = 128
# The decoder needs eight more bytes before it continues.
_IN_HAND = 8
_MARGIN = 24


@dataclass
class Survey:
    """The contents of a JPEG file's markers.

    Attributes:
        scans: the number of scans; counting stops at 2,000.
        progressive: whether the coding is progressive.
        whole: whether all of the picture's data is there, as far as the markers show.
        doubt: for a sequential file of one scan with a long run of equal bytes: where the run begins and
            where the scan ends. Only decoding shows whether the run is a hole, see `load_in_doubt`.
    """

    scans: int = 0
    progressive: bool = False
    whole: bool = False
    doubt: tuple[int, int] | None = None
    _interval: int = 0
    _size: tuple[int, int] = 0, 0
    _sampling: dict[int, tuple[int, int]] = field(default_factory=dict)
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
    """Loads the picture. Returns False if the run of equal bytes is a hole, so that the pixels are wrong.

    Sound data ends with the picture. With a hole in it, the picture ends before the data, or the data before
    the picture.
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
        # A run after the picture is padding.
        (data[: start + _MARGIN], look),
        (data[start + _MARGIN : end - _MARGIN], look),
        # The appended bytes make the decoder use all of the data.
        (data[max(end - _MARGIN, start + _MARGIN) : end] + bytes(_IN_HAND), look),
        (data[end:], lambda: None),
    ]
    image.fp = _Stages(begin, stages)  # type: ignore[assignment]
    image.load()
    # The decoder asks for no further piece once it has finished.
    if not written or written[0]:
        return True
    if len(written) == 1 or written[1]:
        return False
    return len(written) == 2 or written[2]


class _Stages:
    """A file that is read in pieces and calls a function when a piece is used up and more is asked for."""

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
    # The bits still missing of each coefficient: 1 until a scan brings it.
    found._missing = {part[0]: [1] * (64 if found.progressive else 1) for part in parts}
    found._sampling = {part[0]: (part[1] >> 4, part[1] & 15) for part in parts}
    found._size = int.from_bytes(segment[3:5], "big"), int.from_bytes(segment[1:3], "big")


def _scan(found: Survey, segment: bytes, data: bytes, start: int, end: int) -> bool:
    """Records one scan. Returns False if its header is invalid or its data has a hole."""
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
    # Fill bytes may stand before a marker, and some encoders pad with zeros.
    body = data[start:end].rstrip(b"\xff")
    filled = end - start - len(body) >= _HOLE
    padded = len(body) - len(body.rstrip(b"\0"))
    beyond = end - start - len(body) + (padded if padded <= _MOST_PADDING else 0)
    end -= beyond
    holes = [data.find(bytes([value]) * _HOLE, start, end) for value in (0x00, 0xFF)]
    begin = min((hole for hole in holes if hole >= 0), default=end if filled else -1)
    if begin >= 0:
        found._run = begin, end
        if found._interval:
            numbers = [match.group()[1] & 7 for match in _RESTART.finditer(data, start, end)]
            expected = math.ceil(_units(found, segment[1 : 1 + 2 * count : 2]) / found._interval) - 1
            # Restarts are numbered modulo eight. If all are there, decoding recovers at each.
            return numbers == [number & 7 for number in range(expected)]
        if found.progressive and first > 0:
            long_hole = bytes([data[begin]]) * _LONG_HOLE
            # A run of blocks without details is stored as a count, so sound data has no long hole.
            return beyond <= _MOST_PADDING and not data.startswith(long_hole, begin)
    return True


def _units(found: Survey, components: bytes) -> int:
    """The number of coded units in a scan of these components: blocks for one component, else MCUs."""
    most = [max(values, default=1) or 1 for values in zip(*found._sampling.values(), strict=True)] or [1, 1]
    alone = len(components) == 1
    own = found._sampling.get(components[0], most) if alone else most
    across, down = (
        math.ceil(math.ceil(size * part / whole) / (8 if alone else 8 * whole))
        for size, part, whole in zip(found._size, own, most, strict=True)
    )
    return across * down
