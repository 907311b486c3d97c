"""Records of csv and jsonl files that a kill may have cut short: framing, quoting, names in any bytes."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO

# Quotes that stay open for longer are damage, not a row that a kill cut short.
_LONGEST_RECORD = 1 << 20
# How file names that are not Unicode travel in a str.
_NAME_ERRORS = sys.getfilesystemencodeerrors()


def whole_records(stream: BinaryIO, kind: str) -> Iterator[tuple[bytes, int]]:
    """The finished records of a csv or jsonl file, each with the offset of its end.

    Raises ValueError on a record without an end.
    """
    lines: list[bytes] = []
    size = quotes = end = 0
    while line := stream.readline(_LONGEST_RECORD + 1):
        lines.append(line)
        size += len(line)
        quotes += line.count(b'"')
        if size > _LONGEST_RECORD:
            raise ValueError("a row without an end")
        # A newline inside quotes belongs to a name.
        if not line.endswith(b"\n") or (kind == "csv" and quotes % 2):
            continue
        end += size
        yield b"".join(lines), end
        lines.clear()
        size = quotes = 0


def csv_record(fields: Sequence[object]) -> bytes:
    """One line of csv; None is an empty field."""
    texts = ("" if field is None else str(field) for field in fields)
    return (",".join(map(quoted, texts)) + "\n").encode("utf-8", _NAME_ERRORS)


def csv_fields(record: bytes) -> list[str]:
    """The fields of one record. Raises csv.Error or ValueError on what is none."""
    text = record.decode("utf-8", _NAME_ERRORS)
    (fields,) = csv.reader(io.StringIO(text, newline=""), strict=True)
    return fields


def quoted(text: str) -> str:
    """A field of csv."""
    # Python's csv module leaves a bare carriage return unquoted, and then cannot read it back.
    return '"' + text.replace('"', '""') + '"' if any(character in text for character in ',"\r\n') else text
