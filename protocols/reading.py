"""Reads and writes protocol files. Errors name the file and the line.

The format is a CSV in UTF-8 with the columns `subject,filename,attack_type` in any order. A byte order mark,
CRLF line ends and empty lines are accepted. White space around a subject or an attack type is dropped,
because a single blank must not turn a real image into a synthetic one; file names are kept as they are.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from cmfl_export.base.csv_lines import (
    RecordError,
    header_advice,
    numbered_records,
    quoted,
    text_of,
    wrong_width,
)
from cmfl_export.base.errors import ProtocolError
from cmfl_export.base.files import write_whole

from .schema import COLUMNS, Protocol, Sample

_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
_SEPARATOR = re.compile(r"[/\\]")
_SHOWN = 200  # characters of a header in a message


class _Row(NamedTuple):
    """A sample and the line (from 1) that its row begins on."""

    line: int
    sample: Sample


class _Split(NamedTuple):
    path: Path
    rows: list[_Row]

    @property
    def samples(self) -> list[Sample]:
        return [row.sample for row in self.rows]


def read_split(path: str | os.PathLike[str], *, allow_one_class: bool = False) -> list[Sample]:
    """Reads one split, in file order.

    Args:
        path: the CSV file.
        allow_one_class: accept a split with only real or only synthetic images.

    Raises:
        ProtocolError: the file cannot be read, is empty or not UTF-8; its header is not the three columns; a
            row is short, long or wrongly quoted; a subject or file name is empty; a file name is absolute or
            contains `..`; a file is listed twice; a class is empty.
    """
    return _read(Path(path), allow_one_class).samples


def read_protocol(folder: str | os.PathLike[str], *, allow_one_class_eval: bool = False) -> Protocol:
    """Reads `train.csv`, `dev.csv` and, if it exists, `eval.csv`; the protocol has the name of the folder.

    Raises:
        ProtocolError: see `read_split`; or the folder, train.csv or dev.csv is missing, or a subject or a
            file is in two splits.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ProtocolError(f"{folder} is not a folder; a protocol is a folder with train.csv and dev.csv")
    splits = [_read(folder / "train.csv", False), _read(folder / "dev.csv", False)]
    eval_path = folder / "eval.csv"
    if eval_path.exists():
        splits.append(_read(eval_path, allow_one_class_eval))
    _refuse_overlap(splits)
    return Protocol(folder.resolve().name, *(split.samples for split in splits))


def write_split(samples: Iterable[Sample], path: str | os.PathLike[str]) -> None:
    """Writes a split that `read_split` reads back as the same samples; the file appears whole or not at all.

    A split of one class is accepted.

    Raises:
        ProtocolError: the samples would not read back, for example a file listed twice.
        UsageError: the file cannot be written.
    """
    path = Path(path)
    samples = list(samples)
    rows = [COLUMNS, *((sample.subject, sample.filename, sample.attack_type) for sample in samples)]
    text = "".join(",".join(map(quoted, row)) + "\n" for row in rows)
    if [row.sample for row in _parse(text, path, allow_one_class=True)] != samples:
        raise ProtocolError(f"{path}: a subject or attack type has white space around it; remove it")
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise ProtocolError(
            f"{path}: a file name is not valid Unicode and cannot be listed; rename it"
        ) from error
    write_whole(path, data)


def _read(path: Path, allow_one_class: bool) -> _Split:
    try:
        text = text_of(path.read_bytes())
    except FileNotFoundError as error:
        raise ProtocolError(f"{path}: not found; a protocol needs train.csv and dev.csv") from error
    except OSError as error:
        raise ProtocolError(f"{path}: cannot be read ({error.strerror})") from error
    except RecordError as error:
        raise ProtocolError(f"{path}, {error}") from error
    return _Split(path, _parse(text, path, allow_one_class))


def _parse(text: str, path: Path, allow_one_class: bool) -> list[_Row]:
    records = _records(text, path)
    line, header = next(records, (1, []))
    if not header:
        raise ProtocolError(f"{path}: empty; it needs the header {','.join(COLUMNS)} and rows")
    if sorted(header) != sorted(COLUMNS):
        advice = header_advice(header, COLUMNS)
        raise ProtocolError(
            f"{path}, line {line}: the header is {','.join(header)[:_SHOWN]!r}; it must be "
            f"{','.join(COLUMNS)!r}" + (f": {advice}" if advice else "")
        )
    subject_at, filename_at, attack_at = (header.index(column) for column in COLUMNS)

    rows: list[_Row] = []
    seen: dict[str, int] = {}
    for line, record in records:
        if len(record) != len(COLUMNS):
            raise ProtocolError(f"{path}, line {line}: {wrong_width(record, len(COLUMNS))}")
        sample = Sample(record[subject_at].strip(), record[filename_at], record[attack_at].strip())
        fault = _fault(sample)
        if fault:
            raise ProtocolError(f"{path}, line {line}: {fault}")
        first = seen.setdefault(_file_key(sample), line)
        if first != line:
            raise ProtocolError(
                f"{path}, line {line}: {sample.filename!r} is already on line {first}; remove one of them"
            )
        rows.append(_Row(line, sample))

    if not rows:
        raise ProtocolError(f"{path}: a header without rows; list one image per row")
    if not allow_one_class:
        real = sum(row.sample.is_real for row in rows)
        if real == 0:
            raise ProtocolError(f"{path}: no real image; an empty attack_type marks the real ones")
        if real == len(rows):
            raise ProtocolError(
                f"{path}: no synthetic image; a non-empty attack_type marks the synthetic ones"
            )
    return rows


def _records(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        yield from numbered_records(text)
    except RecordError as error:
        raise ProtocolError(f"{path}, {error}") from error


def _fault(sample: Sample) -> str:
    """Returns what is wrong with the values of a row; empty if nothing is."""
    name = sample.filename
    if not sample.subject:
        return "empty subject; where the person is unknown, give each file a subject of its own"
    if not name.strip():
        return "empty filename"
    if "\0" in name:
        return f"filename {name!r} contains a null character"
    if _ABSOLUTE.match(name):
        return f"filename {name!r} is absolute; it must be relative to the data root"
    if ".." in _SEPARATOR.split(name):
        return f"filename {name!r} contains '..'; it must stay inside the data root"
    return ""


def _file_key(sample: Sample) -> str:
    """Returns one key for all spellings of a path: `./a//b.png` is `a/b.png`."""
    return posixpath.normpath(sample.filename)


def _refuse_overlap(splits: list[_Split]) -> None:
    """Refuses a subject or a file in two splits, which would make the figures of the second too good."""
    subjects: dict[str, tuple[Path, int]] = {}
    files: dict[str, tuple[Path, int]] = {}
    for split in splits:
        for line, sample in split.rows:
            for what, value, places in (
                ("subject", sample.subject, subjects),
                ("file", _file_key(sample), files),
            ):
                path, earlier = places.setdefault(value, (split.path, line))
                if path != split.path:
                    raise ProtocolError(
                        f"{what} {value!r} is in two splits: {path}, line {earlier} and "
                        f"{split.path}, line {line}; keep it in one of them"
                    )


def split_file(protocol: Path, split: str) -> Path:
    """Returns the CSV of a split: the file itself, or the one with this name in a protocol folder.

    Raises:
        ProtocolError: the folder has no such split.
    """
    if not protocol.is_dir():
        return protocol
    file = protocol / f"{split}.csv"
    if not file.is_file():
        there = ", ".join(sorted(path.stem for path in protocol.glob("*.csv"))) or "none"
        raise ProtocolError(f"{protocol} has no split {split!r}; it has: {there}")
    return file
