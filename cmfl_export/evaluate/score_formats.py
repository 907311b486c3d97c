"""Reads score files in every known format: of an evaluation, of `cmfl predict`, of the official code."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from protocols import Sample

from ..base.csv_lines import RecordError, header_advice, lines_in, numbered_records, text_of, wrong_width
from ..base.errors import InputError
from ..images import Status
from ..predict import check_score, number_in, row_of, row_of_csv
from ..runtime import COLUMNS as RESULT_COLUMNS
from ..runtime import GROUPS, KINDS, Prediction, columns_with, groups_of

# The columns of an evaluation's scores: a row of a protocol, then its result without the path.
COLUMNS = ("subject", "filename", "attack_type", *RESULT_COLUMNS[1:])
OFFICIAL = ("id", "label", "path", "score")

_KNOWN = {*COLUMNS, *KINDS, *OFFICIAL}
_LINES, _ARRAY = (".jsonl", ".ndjson"), ".json"
_BLANKS = " \t\r\n"
_SHOWN = 200  # characters of a header in a message


class Row(NamedTuple):
    """A row of a score file and the line, from 1, that it begins on; `sample` is None without a label."""

    line: int
    sample: Sample | None
    row: Prediction


def read(path: Path) -> list[Row]:
    """Returns all rows of a score file, in order.

    Raises:
        InputError: the file cannot be read, its format is unknown, or a row is faulty: a score that is not a
            number from 0 to 1, an unknown label, status or decision, or no name.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is {'a folder' if path.is_dir() else 'no regular file'}, not a score file")
    ending = path.suffix.lower()
    if ending == ".parquet":
        raise InputError(f"cannot read {path}: parquet is not supported; use a csv, jsonl or json file")
    try:
        # File names that are not Unicode keep their bytes.
        text = text_of(path.read_bytes(), "surrogateescape")
        if "\0" in text:
            raise RecordError(1 + lines_in(text.partition("\0")[0]), "not a text file")
        records = _lines(text) if ending in _LINES else _array(text) if ending == _ARRAY else _csv(text)
        rows = [_consistent(*record) for record in records]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except RecordError as error:
        raise InputError(f"{path}, {error}") from error
    return rows


def _consistent(line: int, sample: Sample | None, row: Prediction) -> Row:
    """Returns the row if its values fit together.

    Raises:
        RecordError: they do not.
    """
    if not row.path.strip():
        raise RecordError(line, "the name of the image is empty")
    if (row.p_real is None) == row.ok:
        raise RecordError(line, f"the status is {row.status} but p_real is {_word(row.p_real)}")
    return Row(line, sample, row)


def _lines(text: str) -> Iterator[Row]:
    for line, record in enumerate(text.split("\n"), 1):
        if record.strip():
            yield Row(line, None, _row_of_json(line, _json(line, record)))


def _array(text: str) -> Iterator[Row]:
    """Yields the items of a JSON array, read one by one, so that the line of each is known."""
    decoder = json.JSONDecoder()
    place, line = _skip(text, 0, 1, "[")
    if text[place : place + 1] == "[":
        raise RecordError(line, "an array within the array, not a row of cmfl predict")
    while text[place : place + 1] not in ("]", ""):
        try:
            item, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            raise _not_json(line, error) from error
        yield Row(line, None, _row_of_json(line, item))
        line += lines_in(text[place:end])
        stop = len(text) - len(text[end:].lstrip(_BLANKS)) if end < len(text) else end
        if text[stop : stop + 1] == "]":
            place = stop
        else:
            place, line = _skip(text, end, line, ",")
    if not text[place : place + 1]:
        raise RecordError(line, "the file ends within the array; it was cut off")
    if text[place + 1 :].strip(_BLANKS):
        raise RecordError(line, "more than one array in the file")


def _skip(text: str, place: int, line: int, sign: str) -> tuple[int, int]:
    """Skips blanks, this sign and blanks; returns the place and the line of what follows."""
    rest = text[place:]
    inner = rest.lstrip(_BLANKS)
    if not inner.startswith(sign):
        what = f"{inner[:20]!r}" if inner else "the end of the file"
        raise RecordError(
            line + lines_in(rest[: len(rest) - len(inner)]), f"{sign!r} was expected, not {what}"
        )
    after = inner[1:].lstrip(_BLANKS)
    return len(text) - len(after), line + lines_in(rest[: len(rest) - len(after)])


def _json(line: int, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_json(line, error) from error


def _not_json(line: int, error: ValueError | RecursionError) -> RecordError:
    why = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply, or too long a number"
    return RecordError(line, f"not valid JSON ({why}); was the file cut off?")


def _row_of_json(line: int, item: object) -> Prediction:
    if not isinstance(item, dict):
        raise RecordError(line, f"a value of type {type(item).__name__}, not a row of cmfl predict")
    expected = {*columns_with([name for name, columns in GROUPS.items() if columns[0] in item])}
    if missing := sorted(expected - {*item}):
        raise RecordError(line, f"the row has no {', '.join(missing)}")
    try:
        return row_of(item)
    except (ValueError, TypeError) as error:
        raise RecordError(line, str(error)) from error


def _csv(text: str) -> Iterator[Row]:
    records = numbered_records(text)
    first = next(records, None)
    if first is None:
        return
    line, header = first
    columns = tuple(header)
    if columns == COLUMNS:
        yield from _of_evaluation(records)
    elif groups_of(columns) is not None:
        for line, record in records:
            try:
                yield Row(line, None, row_of_csv(columns, record))
            except ValueError as error:
                raise RecordError(line, str(error)) from error
    elif len(header) != len(OFFICIAL) or _names(header) & _KNOWN:
        raise RecordError(line, _no_header(header))
    else:
        yield _official(line, header)
        for line, record in records:
            yield _official(line, record)


def _names(header: Sequence[str]) -> set[str]:
    return {name.strip().casefold() for name in header}


def _no_header(header: Sequence[str]) -> str:
    """Returns why a file with this first record is not a score file."""
    shown = ",".join(header)[:_SHOWN]
    if len(header) != len(OFFICIAL) and len(header) > 1 and not _names(header) & _KNOWN:
        return f"{wrong_width(header, len(OFFICIAL))}: rows without a header are {','.join(OFFICIAL)}"
    nearest = max(
        (COLUMNS, RESULT_COLUMNS, columns_with(["faces"])),
        key=lambda columns: len({*columns} & _names(header)),
    )
    advice = (
        "remove this line"
        if tuple(header) == OFFICIAL
        else header_advice(header, nearest) or f"the nearest header is {','.join(nearest)}"
    )
    return (
        f"neither a score file of cmfl nor rows of {','.join(OFFICIAL)} without a header; it begins with "
        f"{shown!r}: {advice}"
    )


def _of_evaluation(records: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    for line, record in records:
        if len(record) != len(COLUMNS):
            raise RecordError(line, wrong_width(record, len(COLUMNS)))
        subject, filename, attack_type, *result = record
        if not subject.strip():
            raise RecordError(line, "empty subject")
        try:
            row = row_of_csv(RESULT_COLUMNS, (filename, *result))
        except ValueError as error:
            raise RecordError(line, str(error)) from error
        yield Row(line, Sample(subject, filename, attack_type.strip()), row)


def _official(line: int, record: Sequence[str]) -> Row:
    if len(record) != len(OFFICIAL):
        raise RecordError(line, wrong_width(record, len(OFFICIAL)))
    _, label, name, score = record
    truth = _number(line, "label", label)
    if truth not in (0.0, 1.0):
        raise RecordError(line, f"the label is {label}; it must be 1 (real) or 0 (synthetic)")
    value = _number(line, "score", score)
    row = Prediction(name, value)
    if math.isnan(value):
        # The official code gives NaN for images of one colour.
        row = Prediction(name, status=Status.UNREADABLE, error=f"the score is {score}")
    else:
        try:
            check_score("score", value)
        except ValueError as error:
            raise RecordError(line, str(error)) from error
    return Row(line, Sample(name, name, "" if truth else "synthetic"), row)


def _number(line: int, name: str, text: str) -> float:
    try:
        value = number_in(name, text)
    except ValueError as error:
        raise RecordError(line, str(error)) from error
    if value is None:
        raise RecordError(line, f"the {name} is empty")
    return value


def _word(p_real: float | None) -> str:
    # As a CSV file shows it.
    return "''" if p_real is None else f"'{p_real:g}'"
