"""Reads messages in protobuf's wire format from untrusted bytes, without the protobuf package.

Fields that occur twice, have another wire type or are unknown are refused, because readers may interpret them
differently. So every other reader reads the same values as this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_MOST_PARTS = 50_000  # values of one field in one message; the largest export has 1,100 initializers
_MOST_FIELDS = 2_000_000  # fields in all messages together; the largest export has about 30,000
_MOST_NAME_BYTES = 4096

# Wire types of fields, and flags for repeated ones.
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MANY, PACKED = 8, 16  # repeated; numbers that may be packed into one field

Spec = dict[int, tuple[str, int]]
Span = tuple[int, int]
Message = dict[str, list[Any]]


class DamagedError(ValueError):
    """The bytes are of another kind, damaged or ambiguous. The text continues a sentence: "the file ..."."""


@dataclass(slots=True)
class Reader:
    """Reads messages from one block of bytes. A span is the begin and the end of a message in it."""

    data: bytes
    view: memoryview = field(init=False)
    fields: int = 0

    def __post_init__(self) -> None:
        self.view = memoryview(self.data)

    def message(self, span: Span, spec: Spec) -> Message:
        """The fields of a message by name: varints as unsigned numbers, all others as spans.

        Args:
            spec: name and kind of each field by its number.

        Raises:
            DamagedError: the message ends too early or has a field that `spec` does not allow.
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
        """An unsigned number of up to 64 bits, and the position after it."""
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
        """At most `most` signed numbers of 64 bits from the values of a field, packed or not."""
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
        """The UTF-8 text of a span of at most `most` bytes."""
        start, end = span
        if end - start > most:
            raise DamagedError(f"has a name of {end - start} bytes; {most} at most")
        try:
            return self.data[start:end].decode()
        except UnicodeDecodeError as error:
            raise DamagedError("has a name that is not UTF-8") from error

    def texts(self, message: Mapping[str, list[Any]], name: str) -> tuple[str, ...]:
        """The texts of a repeated field."""
        return tuple(map(self.text, message.get(name, ())))

    def one_text(self, message: Mapping[str, list[Any]], name: str) -> str:
        """The text of a field; "" if it is missing."""
        spans = message.get(name)
        return self.text(spans[0]) if spans else ""


def small_number(message: Mapping[str, list[Any]], name: str, most: int) -> int:
    """The number in a field; 0 if it is missing.

    Numbers above `most` are refused: some readers cut them to 32 bits and would read another number.
    """
    value: int = message.get(name, (0,))[0]
    if value > most:
        raise DamagedError(f"has an impossible number ({name})")
    return value


_FIXED_SIZES = {FIXED32: 4, FIXED64: 8}
_UNKNOWN = ("", 7)  # a wire type that does not exist
