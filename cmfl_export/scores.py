"""Scores with the truth beside them: the score file of an evaluation, and those of others, joined."""

from __future__ import annotations

import csv
import io
import math
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from protocols import Sample

from .errors import CmflError
from .files import write_whole
from .records import csv_record
from .results import COLUMNS as RESULT_COLUMNS
from .results import FACE_COLUMNS, Prediction, Status, read_rows

# A row of a protocol and the row of its result, whose path is the protocol's file name.
COLUMNS = ("subject", "filename", "attack_type", *RESULT_COLUMNS[1:])

_SEPARATOR = re.compile(r"[/\\]+")


class Scored(NamedTuple):
    """One image of a protocol and what is said about it."""

    sample: Sample
    row: Prediction


def write_scores(rows: Sequence[Scored], path: Path) -> None:
    """Writes a CSV with COLUMNS, whole or not at all; `read_scores` reads it back.

    Raises:
        CmflError: the file cannot be written.
    """
    records = [
        (
            *(sample.subject, sample.filename, sample.attack_type),
            *(row.p_real, row.p_real_rgb, row.p_real_spectrum),
            *(row.decision, row.status.value, row.error),
        )
        for sample, row in rows
    ]
    write_whole(path, b"".join(map(csv_record, (COLUMNS, *records))))


def read_scores(
    path: str | os.PathLike[str],
    samples: Sequence[Sample] | None = None,
    data_root: str | os.PathLike[str] | None = None,
) -> list[Scored]:
    """Reads a score file, whichever of three kinds it is:

    - the `scores.csv` of an evaluation;
    - what `cmfl predict` wrote as csv, jsonl or json (needs `samples`, for it holds no truth);
    - the official implementation's headerless CSV of `id,label,path,score`, label 1 for real.

    Args:
        path: the file.
        samples: the rows of a protocol. The result then has exactly these, in this order; a row without a
            score in the file gets the status `not_found`. Scores of other images are ignored.
        data_root: what the file names of `samples` are relative to. A path in the file belongs to the sample
            whose name it is, with or without the data root, else to that whose name is the longest end of it.

    Raises:
        CmflError: the file cannot be read, is none of the three, holds no truth and there are no samples,
            names an image twice, contradicts the protocol's truth, or has a score for none of its images.
    """
    path = Path(path)
    found = list(_read(path, have_truth=samples is not None))
    if not found:
        raise CmflError(f"{path}: no scores in it")
    return found if samples is None else _joined(path, found, samples, data_root)


def _read(path: Path, *, have_truth: bool) -> Iterator[Scored]:
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        yield from _of_predict(path, have_truth)
        return
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise CmflError(f"cannot read {path}: {error.strerror}") from error
    header = text.partition("\n")[0].rstrip("\r")
    if header == ",".join(COLUMNS):
        yield from _of_evaluation(path, text)
    elif header in (",".join(RESULT_COLUMNS), ",".join((*RESULT_COLUMNS, *FACE_COLUMNS))):
        yield from _of_predict(path, have_truth)
    else:
        yield from _official(path, text)


def _of_predict(path: Path, have_truth: bool) -> Iterator[Scored]:
    if not have_truth:
        raise CmflError(f"{path} does not say which images are real; give the protocol as well")
    for row in read_rows(path):
        yield Scored(Sample("", row.path, ""), row)


def _of_evaluation(path: Path, text: str) -> Iterator[Scored]:
    for line, record in _records(path, text, len(COLUMNS)):
        if line == 1:
            continue
        subject, filename, attack_type, *scores, decision, status, error = record
        try:
            values = [float(score) if score else None for score in scores]
            state = Status(status)
        except ValueError as problem:
            raise CmflError(f"{path}, line {line}: {problem}") from problem
        if (values[0] is None) == (state is Status.OK):
            raise CmflError(f"{path}, line {line}: the status is {status} but p_real is {scores[0]!r}")
        joint, rgb, spectrum = values
        row = Prediction(filename, joint, rgb, spectrum, decision or None, state, error)
        yield Scored(Sample(subject, filename, attack_type), row)


def _official(path: Path, text: str) -> Iterator[Scored]:
    for line, (_, label, name, score) in _records(path, text, 4):
        try:
            truth, value = float(label), float(score)
        except ValueError as error:
            raise CmflError(
                f"{path}, line {line}: neither a score file of cmfl nor rows of id,label,path,score"
            ) from error
        if truth not in (0.0, 1.0):
            raise CmflError(
                f"{path}, line {line}: the label is {label}; it must be 1 (real) or 0 (synthetic)"
            )
        # The official code gives NaN for pictures of one colour.
        row = (
            Prediction(name, value)
            if math.isfinite(value)
            else Prediction(name, status=Status.UNREADABLE, error=f"the score is {score}")
        )
        yield Scored(Sample(name, name, "" if truth else "synthetic"), row)


def _records(path: Path, text: str, width: int) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for record in reader:
            if not record:
                continue
            if len(record) != width:
                raise CmflError(f"{path}, line {reader.line_num}: {len(record)} values instead of {width}")
            yield reader.line_num, record
    except csv.Error as error:
        raise CmflError(f"{path}, line {reader.line_num}: not valid CSV ({error})") from error


def _joined(
    path: Path,
    found: Sequence[Scored],
    samples: Sequence[Sample],
    data_root: str | os.PathLike[str] | None,
) -> list[Scored]:
    root = None if data_root is None else _normal(os.fspath(data_root))
    wanted = {_normal(sample.filename): index for index, sample in enumerate(samples)}
    rows: list[Prediction | None] = [None] * len(samples)
    for sample, row in found:
        index = _index_of(_normal(row.path), wanted, root)
        if index is None:
            continue
        name = samples[index].filename
        if rows[index] is not None:
            raise CmflError(f"{path}: two scores for {name!r}; keep one of them")
        if sample.subject and sample.is_real != samples[index].is_real:
            raise CmflError(
                f"{path}: {name!r} is {_word(sample)} there and {_word(samples[index])} in the protocol"
            )
        rows[index] = row
    if not any(rows):
        raise CmflError(
            f"{path} has no score for any image of the protocol; "
            f"it names {found[0].row.path!r} and the protocol {samples[0].filename!r}"
        )
    missing = "no score in the file"
    return [
        Scored(sample, row or Prediction(sample.filename, status=Status.NOT_FOUND, error=missing))
        for sample, row in zip(samples, rows, strict=True)
    ]


def _index_of(name: str, wanted: dict[str, int], root: str | None) -> int | None:
    if root is not None and name.startswith(f"{root}/"):
        inside = name.removeprefix(f"{root}/")
        if inside in wanted:
            return wanted[inside]
    while name not in wanted:
        _, separator, name = name.partition("/")
        if not separator:
            return None
    return wanted[name]


def _normal(path: str) -> str:
    return posixpath.normpath(_SEPARATOR.sub("/", path))


def _word(sample: Sample) -> str:
    return "real" if sample.is_real else "synthetic"
