"""Joins scores with the labels of a protocol, and writes the score file of an evaluation."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from protocols import Sample

from ..base.csv_lines import csv_record
from ..base.errors import InputError
from ..base.files import write_whole
from ..images import Status
from ..runtime import Prediction
from .score_formats import COLUMNS, Row, read

_SEPARATOR = re.compile(r"[/\\]+")


class Scored(NamedTuple):
    """One image of a protocol and its result."""

    sample: Sample
    row: Prediction


def write_scores(rows: Sequence[Scored], path: Path) -> None:
    """Writes a CSV with COLUMNS, whole or not at all; `read_scores` reads it back.

    Raises:
        UsageError: the file cannot be written.
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
    """Reads the scores of a file, joined with the labels of a protocol.

    The format is one of three:

    - the `scores.csv` of an evaluation;
    - what `cmfl predict` wrote as csv, jsonl or json (needs `samples`, as it has no labels);
    - the official implementation's CSV of `id,label,path,score` without a header, label 1 for real.

    Args:
        path: the file.
        samples: the rows of a protocol. The result then has exactly these, in this order; a row without a
            score in the file gets the status `not_found`. Scores of other images are ignored.
        data_root: the folder that the file names of `samples` are relative to. A path in the file belongs to
            the sample with this name, with or without the data root, else to the sample whose name is the
            longest end of the path.

    Raises:
        InputError: the file or a row of it cannot be used (see `score_formats.read`), it has no labels and
            there are no samples, it names an image twice, contradicts the protocol's labels, or has no score
            for any of its images.
    """
    path = Path(path)
    found = read(path)
    if not found:
        raise InputError(f"{path}: no scores in it")
    if samples is not None:
        return _joined(path, found, samples, data_root)
    first: dict[str, Row] = {}
    scored = []
    for one in found:
        if one.sample is None:
            raise InputError(f"{path} does not say which images are real; give the protocol as well")
        _refuse_twice(path, one, first.setdefault(_normal(one.row.path), one))
        scored.append(Scored(one.sample, one.row))
    return scored


def _refuse_twice(path: Path, row: Row, first: Row) -> None:
    if row is not first:
        faces = "; of photographs score the --largest face" if row.row.face is not None else ""
        raise InputError(
            f"{path}, line {row.line}: two scores for {first.row.path!r}, the first on line {first.line}; "
            f"keep one of them{faces}"
        )


def _joined(
    path: Path,
    found: Sequence[Row],
    samples: Sequence[Sample],
    data_root: str | os.PathLike[str] | None,
) -> list[Scored]:
    root = None if data_root is None else _normal(os.fspath(data_root))
    wanted = {_normal(sample.filename): index for index, sample in enumerate(samples)}
    rows: list[Row | None] = [None] * len(samples)
    for one in found:
        index = _index_of(_normal(one.row.path), wanted, root)
        if index is None:
            continue
        name = samples[index].filename
        _refuse_twice(path, one, rows[index] or one)
        if one.sample is not None and one.sample.is_real != samples[index].is_real:
            raise InputError(
                f"{path}, line {one.line}: {name!r} is {_word(one.sample)} there and "
                f"{_word(samples[index])} in the protocol"
            )
        rows[index] = one
    if not any(rows):
        raise InputError(
            f"{path} has no score for any image of the protocol; "
            f"it names {found[0].row.path!r} and the protocol {samples[0].filename!r}"
        )
    missing = "no score in the file"
    return [
        Scored(
            sample,
            Prediction(sample.filename, status=Status.NOT_FOUND, error=missing) if one is None else one.row,
        )
        for sample, one in zip(samples, rows, strict=True)
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
