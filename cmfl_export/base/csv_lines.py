"""Records of CSV and JSONL files: where they end, quoting, line numbers, file names that are not Unicode."""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO

# A longer record has an unclosed quote: the file is damaged, not just cut short by a kill.
_LONGEST_RECORD = 1 << 20
# The error handler that keeps file names which are not Unicode in a str.
_NAME_ERRORS = sys.getfilesystemencodeerrors()
_LINE_END = re.compile(r"\r\n|\r|\n")


class RecordError(ValueError):
    """Text is not valid CSV. The message begins with the line, counted from 1."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")


def whole_records(stream: BinaryIO, kind: str) -> Iterator[tuple[bytes, int]]:
    """Yields the finished records of a file, each with the offset of its end.

    Args:
        kind: "csv" or "jsonl".

    Raises:
        ValueError: a record has no end.
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
    """Yields the records of a whole CSV that are not empty, each with its first line, counted from 1.

    Lines are counted as an editor counts them: a quoted name may contain line ends.

    Raises:
        RecordError: the text is not valid CSV.
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
    """The text of a file's bytes, without a byte order mark.

    Args:
        errors: what to do with bytes that are not UTF-8, as in `bytes.decode`.

    Raises:
        RecordError: the bytes are not UTF-8.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise RecordError(1, "not UTF-8 but UTF-16; save the file as UTF-8")
    try:
        return data.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        lines = lines_in(error.object[: error.start].decode("utf-8", "replace"))
        raise RecordError(lines + 1, "not UTF-8; save the file as UTF-8") from error


def lines_in(text: str) -> int:
    """The number of line ends in a text, of any kind."""
    return sum(1 for _ in _LINE_END.finditer(text))


def header_advice(header: Sequence[str], columns: Sequence[str]) -> str:
    """Advice on how to mend a header that is not the expected one; "" if the cause is unclear.

    Args:
        header: the first record of the file.
        columns: the expected header.
    """
    text = ",".join(header)
    tidy = [name.strip().casefold() for name in header]
    for separator, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        if len(header) == 1 and separator in text:
            if text.casefold().startswith("sep="):
                return "remove this line, which Excel wrote, and separate the values by commas"
            return f"the values are separated by {word}; save the file as CSV with commas"
    if len(header) == 1 and "," in text:
        return "each line is quoted as one value; save the file with a column for each"
    if sorted(tidy) == sorted(name.casefold() for name in columns):
        return "write it in lower case and without blanks"
    if not set(tidy) & {name.casefold() for name in columns}:
        return "it seems to be missing; put it above the first row"
    return ""


def wrong_width(record: Sequence[str], width: int) -> str:
    """The error text for a record that has more or fewer values than `width`, with advice."""
    why = f"{len(record)} values instead of {width}"
    if len(record) == 1 and "," in record[0]:
        return f"{why}: the whole line is quoted as one value; quote each value by itself"
    if len(record) == 1 and ";" in record[0]:
        return f"{why}: they are separated by semicolons; separate them by commas"
    return f"{why}: quote a value that holds a comma" if len(record) > width else why


def csv_record(fields: Sequence[object]) -> bytes:
    """One line of CSV as bytes; None becomes an empty field."""
    texts = ("" if field is None else str(field) for field in fields)
    return (",".join(map(quoted, texts)) + "\n").encode("utf-8", _NAME_ERRORS)


def csv_fields(record: bytes) -> list[str]:
    """The fields of one record.

    Raises:
        csv.Error, ValueError: the bytes are not one CSV record.
    """
    text = record.decode("utf-8", _NAME_ERRORS)
    (fields,) = csv.reader(io.StringIO(text, newline=""), strict=True)
    return fields


def quoted(text: str) -> str:
    """The text as a CSV field, in quotes where it needs them."""
    # Python's csv module leaves a bare carriage return unquoted and then cannot read it back.
    return '"' + text.replace('"', '""') + '"' if any(character in text for character in ',"\r\n') else text
