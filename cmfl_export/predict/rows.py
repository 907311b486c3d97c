"""Result rows: how csv, jsonl and json represent them, and how they are read."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..base.csv_lines import csv_fields, whole_records, wrong_width
from ..base.errors import InputError, UsageError
from ..base.text_formats import load_json, read_bytes
from ..images import Status
from ..runtime import GROUPS, KINDS, Prediction, columns_with, groups_of
from .row_values import check_row, flag_in, number_in

FORMATS = ("csv", "jsonl", "json", "parquet")

_SUFFIXES = {"": "csv", ".ndjson": "jsonl", **{f".{name}": name for name in FORMATS}}
_MOST_JSON_BYTES = 1 << 30  # some five million rows
_NEVER_NONE = ("path", "status", "error")


def read_rows(path: Path, format: str | None = None) -> Iterator[Prediction]:
    """Reads rows that `open_writer` wrote as csv, jsonl or json.

    An incomplete last row of csv or jsonl (after a kill) is left out.

    Args:
        path: the file.
        format: csv, jsonl or json; None takes it from the ending.

    Raises:
        InputError: the file cannot be read, or is not of this format.
        UsageError: an unknown format.
    """
    kind = format_of(path, format)
    try:
        if kind == "json":
            for item in load_json(read_bytes(path, _MOST_JSON_BYTES, "the score file"), _MOST_JSON_BYTES):
                yield row_of(item)
        elif kind == "parquet":
            raise InputError(f"cannot read {path}: parquet is not supported; use a csv, jsonl or json file")
        else:
            with path.open("rb") as stream:
                for row, _, _ in whole_rows(stream, kind):
                    if row is not None:
                        yield row
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise InputError(f"{path} is not a {kind} file of cmfl predict ({error})") from error


def format_of(path: Path | None, format: str | None) -> str:
    """Returns the format of an output: as given, else by its ending, csv without an ending.

    Raises:
        UsageError: an unknown format or ending.
    """
    if format is None:
        format = "csv" if path is None else _SUFFIXES.get(path.suffix.lower())
        if format is None:
            raise UsageError(f"the ending of {path} names no format; give --format {'|'.join(FORMATS)}")
    if format not in FORMATS:
        raise UsageError(f"unknown format {format!r}; choose one of: {', '.join(FORMATS)}")
    return format


def whole_rows(stream: BinaryIO, kind: str) -> Iterator[tuple[Prediction | None, tuple[str, ...], int]]:
    """Yields (row, columns, offset of its end) for each complete record; the row of a csv header is None.

    Raises:
        ValueError, TypeError, KeyError, csv.Error: a record is not a result row.
    """
    columns: tuple[str, ...] = ()
    for record, end in whole_records(stream, kind):
        if kind == "jsonl":
            values = load_json(record)
            yield row_of(values), tuple(values), end
        elif columns:
            yield row_of_csv(columns, csv_fields(record)), columns, end
        else:
            columns = tuple(csv_fields(record))
            if groups_of(columns) is None:
                raise ValueError("another header")
            yield None, columns, end


def row_of(record: Mapping[str, Any]) -> Prediction:
    """Returns the row of a record of json or jsonl.

    Raises:
        ValueError, TypeError, KeyError: the record is not a result row.
    """
    groups = [name for name, columns in GROUPS.items() if columns[0] in record]
    values = {name: record[name] for name in columns_with(groups)}
    status = Status(values["status"])
    check_row(values)
    box = tuple(values.pop(name, None) for name in ("left", "top", "right", "bottom"))
    return Prediction(**values | {"status": status, "box": None if None in box else box})


def row_of_csv(columns: Sequence[str], fields: Sequence[str]) -> Prediction:
    """Returns the row of a record of csv.

    Raises:
        ValueError: the record is not a result row.
    """
    if len(fields) != len(columns):
        raise ValueError(wrong_width(fields, len(columns)))
    return row_of({name: _value_of(name, text) for name, text in zip(columns, fields, strict=True)})


def _value_of(column: str, text: str) -> str | float | bool | None:
    """Returns the value of a field of csv."""
    if KINDS[column] == "text":
        return text if column in _NEVER_NONE else text or None
    if KINDS[column] == "flag":
        return flag_in(column, text)
    number = number_in(column, text)
    whole = KINDS[column] == "count" and number is not None and number.is_integer()
    return int(number) if whole and number is not None else number
