"""Records of csv and jsonl files: framing, quoting, names in any bytes, lines, and what a kill cut short."""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO

# Quotes that stay open for longer are damage, not a row that a kill cut short.
_LONGEST_RECORD = 1 << 20
# How file names that are not Unicode travel in a str.
_NAME_ERRORS = sys.getfilesystemencodeerrors()
_LINE_END = re.compile(r"\r\n|\r|\n")


class RecordError(ValueError):
    """Text that is no csv, and the line, from 1, where that is seen."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")


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


def numbered_records(text: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a whole csv that are not empty, each with the line that it begins on, from 1.

    Lines are counted as an editor counts them: a quoted name may contain line ends. Raises `RecordError`.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise RecordError(line, f"not valid CSV ({error})") from error


def text_of(data: bytes, errors: str = "strict") -> str:
    """Bytes of a text file as text, without a byte order mark. Raises `RecordError` on what is not UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise RecordError(1, "not UTF-8 but UTF-16; save the file as UTF-8")
    try:
        return data.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        lines = lines_in(error.object[: error.start].decode("utf-8", "replace"))
        raise RecordError(lines + 1, "not UTF-8; save the file as UTF-8") from error


def lines_in(text: str) -> int:
    """How many line ends are in a text, of any kind."""
    return sum(1 for _ in _LINE_END.finditer(text))


def header_advice(header: Sequence[str], columns: Sequence[str]) -> str:
    """What made a file's first record another one than its header, so far as that can be seen, else "".

    Args:
        header: the first record.
        columns: what it should have been.
    """
    text = ",".join(header)
    tidy = [name.strip().casefold() for name in header]
    for separator, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        if len(header) == 1 and separator in text:
            if text.casefold().startswith("sep="):
                return "remove this line of Excel's, and separate the values by commas"
            return f"the values are separated by {word}; save the file as CSV with commas"
    if len(header) == 1 and "," in text:
        return "each line is quoted as one value; save the file with a column for each"
    if sorted(tidy) == sorted(name.casefold() for name in columns):
        return "write it in lower case and without blanks"
    if not set(tidy) & {name.casefold() for name in columns}:
        return "it seems to be missing; put it above the first row"
    return ""


def wrong_width(record: Sequence[str], width: int) -> str:
    """What to say of a record with more or fewer values than `width`."""
    why = f"{len(record)} values instead of {width}"
    if len(record) == 1 and "," in record[0]:
        return f"{why}: the whole line is quoted as one; quote no more than a value"
    if len(record) == 1 and ";" in record[0]:
        return f"{why}: they are separated by semicolons; separate them by commas"
    return f"{why}: quote a value that holds a comma" if len(record) > width else why


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
