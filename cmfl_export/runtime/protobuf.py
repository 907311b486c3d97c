"""Messages in protobuf's wire format, read without its package, from bytes that nobody vouches for.

What a protobuf reader may take in two ways is refused: a field that is there twice, of another wire type, or
unknown. So what is read here is what any other reader reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_MOST_PARTS = 50_000  # of one kind in one message; the largest export has 1,100 initializers
_MOST_FIELDS = 2_000_000  # of all messages together; the largest export has some 30,000
_MOST_NAME_BYTES = 4096

# How fields are written (wire types), and how often.
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MANY, PACKED = 8, 16  # repeated; of numbers, which may be packed into one field or not

Spec = dict[int, tuple[str, int]]
Span = tuple[int, int]
Message = dict[str, list[Any]]


class DamagedError(ValueError):
    """Not such a file, or one that can be read in more than one way; the words follow the file's name."""


@dataclass(slots=True)
class Reader:
    """Reads messages out of one block of bytes; a span is where one begins and ends."""

    data: bytes
    view: memoryview = field(init=False)
    fields: int = 0

    def __post_init__(self) -> None:
        self.view = memoryview(self.data)

    def message(self, span: Span, spec: Spec) -> Message:
        """The fields of a message by name: varints as unsigned numbers, all else as spans.

        Args:
            spec: name and kind of each field by its number.

        Raises:
            DamagedError: the message ends too early, or has a field that `spec` does not allow.
        """
        data = self.data
        at, end = span
        found: Message = {}
        while at < end:
            tag = data[at]
            if tag < 0x80:
                at += 1
            else:
                tag, at = self.varint(at, end)
            wire = tag & 7
            value: Any
            if wire == LENGTH:
                size, at = self.varint(at, end)
                value = (at, at + size)
                at += size
            elif wire == VARINT:
                value, at = self.varint(at, end)
            else:
                size = _FIXED_SIZES.get(wire, end)
                value = (at, at + size)
                at += size
            if at > end:
                raise DamagedError("is of another kind, or ends too early")
            name, kind = spec.get(tag >> 3, _UNKNOWN)
            if kind & 7 != wire and not (kind & PACKED and wire == LENGTH):
                raise DamagedError(f"has a field of an unknown kind ({name or tag >> 3})")
            values = found.get(name)
            if values is None:
                found[name] = [value]
            elif kind & MANY and len(values) < _MOST_PARTS:
                values.append(value)
            else:
                raise DamagedError(f"has a field too often ({name})")
        self.fields += sum(map(len, found.values()))
        if self.fields > _MOST_FIELDS:
            raise DamagedError(f"has more than {_MOST_FIELDS} fields")
        return found

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """An unsigned number of up to 64 bits, and where it ends."""
        data = self.data
        if at < end and data[at] < 0x80:
            return data[at], at + 1
        value = 0
        for shift, byte in enumerate(data[at : min(at + 10, end)]):
            value |= (byte & 0x7F) << 7 * shift
            if byte < 0x80:
                if value >> 64:
                    break
                return value, at + shift + 1
        raise DamagedError("is of another kind, or ends too early")

    def signed(self, values: list[Any], most: int) -> tuple[int, ...]:
        """Whole numbers of 64 bits, packed or not."""
        found: list[int] = []
        for value in values:
            if isinstance(value, int):
                found.append(value)
                continue
            at, end = value
            while at < end and len(found) <= most:
                number, at = self.varint(at, end)
                found.append(number)
        if len(found) > most:
            raise DamagedError(f"has a list of more than {most} numbers where there are few")
        return tuple(number - (1 << 64) if number >> 63 else number for number in found)

    def text(self, span: Span, most: int = _MOST_NAME_BYTES) -> str:
        start, end = span
        if end - start > most:
            raise DamagedError(f"has a name of {end - start} bytes; {most} at most")
        try:
            return self.data[start:end].decode()
        except UnicodeDecodeError as error:
            raise DamagedError("has a name that is not UTF-8") from error

    def texts(self, message: Mapping[str, list[Any]], name: str) -> tuple[str, ...]:
        """The values of a repeated field."""
        return tuple(map(self.text, message.get(name, ())))

    def one_text(self, message: Mapping[str, list[Any]], name: str) -> str:
        """The value of a field, "" without one."""
        spans = message.get(name)
        return self.text(spans[0]) if spans else ""


def small_number(message: Mapping[str, list[Any]], name: str, most: int) -> int:
    """The value of a field, 0 without one.

    Some readers cut these numbers to 32 bits, so that one beyond `most` could mean another to them.
    """
    value: int = message.get(name, (0,))[0]
    if value > most:
        raise DamagedError(f"has an impossible number ({name})")
    return value


_FIXED_SIZES = {FIXED32: 4, FIXED64: 8}
_UNKNOWN = ("", 7)  # a wire type that does not exist
