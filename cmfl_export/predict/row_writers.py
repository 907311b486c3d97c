"""The files that result rows are written to: csv, jsonl, json, parquet."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..base import setups
from ..base.csv_lines import csv_record
from ..base.errors import InputError, UsageError, need
from ..base.files import is_stream, whole_file, writing
from ..base.locks import exclusive, hold
from ..base.row_files import send, whole_part
from ..base.setups import Setup
from ..base.text import visible
from ..runtime import Prediction
from .rows import COLUMNS, FACE_COLUMNS, FORMATS, format_of, record_of, whole_rows

_JSONL_START = b'{"path": "'
_ROWS_IN_GROUP = 8192


class Writer(ABC):
    """Takes rows and puts them out at once. `done` counts the inputs, by path, that a resumed file has."""

    def __init__(self, stream: BinaryIO, target: str, columns: Sequence[str], done: Counter[str]) -> None:
        self.done = done
        self._columns = columns
        self._stream = stream
        self._target = target
        self._setup: tuple[Path, Setup] | None = None

    def write(self, rows: Sequence[Prediction]) -> None:
        """Writes the rows. Of csv and jsonl the operating system then has them: a kill loses none.

        Raises:
            CmflError: the target cannot be written, a full disk for example.
            BrokenPipeError: who read standard output has gone (`cmfl predict ... | head`); end quietly then.
        """
        if rows and self._setup is not None:
            path, setup = self._setup
            setups.keep(path, setup, self._line(rows[0]))
            self._setup = None
        with writing(self._target):
            self._put(rows)

    def keeps(self, path: Path, setup: Setup) -> None:
        """Has the set-up kept beside the file as soon as it gets a row."""
        self._setup = path, setup

    def _line(self, row: Prediction) -> bytes:
        """The row as it will be in a file of lines."""
        raise NotImplementedError

    def _begin(self) -> None:
        """Writes what comes before the first row."""

    @abstractmethod
    def _put(self, rows: Sequence[Prediction]) -> None:
        """Writes rows in the writer's format."""

    def _end(self) -> None:
        """Writes what comes after the last row."""

    def _abandon(self) -> None:
        """Lets go of what it holds after a failure."""


class _CsvWriter(Writer):
    _on_terminal = False

    def _begin(self) -> None:
        # To a file or a pipe every byte goes as it is; a name must not steer a terminal.
        self._on_terminal = self._stream.isatty()
        send(self._stream, csv_record(self._columns))

    def _put(self, rows: Sequence[Prediction]) -> None:
        send(self._stream, b"".join(map(self._line, rows)))

    def _line(self, row: Prediction) -> bytes:
        values = record_of(row, self._columns).values()
        return csv_record([visible(v) if self._on_terminal and isinstance(v, str) else v for v in values])


class _JsonlWriter(Writer):
    def _put(self, rows: Sequence[Prediction]) -> None:
        send(self._stream, b"".join(map(self._line, rows)))

    def _line(self, row: Prediction) -> bytes:
        return f"{json.dumps(record_of(row, self._columns))}\n".encode("ascii")


class _JsonWriter(Writer):
    _before = "\n"

    def _begin(self) -> None:
        send(self._stream, b"[")

    def _put(self, rows: Sequence[Prediction]) -> None:
        if rows:
            text = ",\n".join(json.dumps(record_of(row, self._columns)) for row in rows)
            send(self._stream, f"{self._before}{text}".encode("ascii"))
            self._before = ",\n"

    def _end(self) -> None:
        send(self._stream, b"\n]\n")


class _ParquetWriter(Writer):
    def _begin(self) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise need("parquet", "writing parquet") from error
        types = [pa.string(), *[pa.float32()] * 3, *[pa.string()] * 3, *[pa.int32()] * 2, *[pa.float32()] * 4]
        fields = [*zip(self._columns, types, strict=False), ("path_bytes", pa.binary())]
        self._table = pa.Table
        self._schema = pa.schema(fields)
        self._parquet = pq.ParquetWriter(self._stream, self._schema)
        self._waiting: list[Prediction] = []

    def _put(self, rows: Sequence[Prediction]) -> None:
        self._waiting.extend(rows)
        if len(self._waiting) >= _ROWS_IN_GROUP:
            self._flush()

    def _flush(self) -> None:
        records = [
            record_of(row, self._columns)
            | {
                "path": row.path.encode("utf-8", "backslashreplace").decode(),
                "path_bytes": os.fsencode(row.path),
            }
            for row in self._waiting
        ]
        self._parquet.write_table(self._table.from_pylist(records, schema=self._schema))
        self._waiting.clear()

    def _end(self) -> None:
        if self._waiting:
            self._flush()
        self._parquet.close()

    def _abandon(self) -> None:
        # Else its destructor would write to a closed file later.
        with suppress(OSError):
            self._parquet.close()


_WRITERS: dict[str, type[Writer]] = dict(
    zip(FORMATS, (_CsvWriter, _JsonlWriter, _JsonWriter, _ParquetWriter), strict=True)
)


@contextmanager
def open_writer(
    path: Path | None,
    format: str | None = None,
    *,
    faces: bool = False,
    resume: bool = False,
    setup: Setup | None = None,
) -> Iterator[Writer]:
    """Opens an output for rows: `with open_writer(path) as writer: writer.write(rows)`.

    csv and jsonl grow in place, a batch at a time, and can be resumed: what a kill cut off is removed, and
    `writer.done` counts the inputs that have their rows. json (one array) and parquet appear whole at the
    end or, when the block ends in an exception, not at all. An existing file is replaced unless resumed. A
    file has one writer at a time.

    Scores are written with the fewest digits that give back the same float32; a score that is None, or no
    finite number, is empty in csv and null elsewhere. File names that are not UTF-8 keep their bytes in csv;
    json and jsonl hold an escape `\\udc80`..`\\udcff` for each such byte, as Python's os.fsdecode does;
    parquet shows them with backslashes in `path` and has their bytes in a column of its own, `path_bytes`.

    Args:
        path: the file; its folder is made where missing. None is standard output, which parquet cannot go to.
        format: one of FORMATS; None takes it from the ending of `path`, csv where there is none.
        faces: also write FACE_COLUMNS.
        resume: go on with an existing csv or jsonl file.
        setup: what the rows come from, see `setups`; kept beside csv and jsonl files, and what a resumed one
            must have come from.

    Raises:
        CmflError: an unknown format, a target that cannot be written or that another process is writing, a
            file to resume that is not ours or comes from another set-up.
    """
    kind = format_of(path, format)
    in_place = kind in ("csv", "jsonl")
    if resume and (path is None or not in_place):
        raise UsageError(
            f"{kind if path else 'standard output'} cannot be resumed; use -o with a csv or jsonl file"
        )
    if path is None and kind == "parquet":
        raise UsageError("parquet cannot go to standard output; name a file with -o")
    columns = (*COLUMNS, *FACE_COLUMNS) if faces else COLUMNS
    with _opened(path, in_place, resume) as stream:
        target = "standard output" if path is None else str(path)
        done = None
        if path is not None and in_place and not is_stream(path):
            done = _resume(path, kind, columns, setup) if resume else None
            if done is None:
                stream.truncate(0)
                setups.forget(path)
        writer = _WRITERS[kind](stream, target, columns, Counter() if done is None else done)
        if done is None and setup is not None and path is not None and in_place and not is_stream(path):
            writer.keeps(path, setup)
        with writing(target):
            if done is None:
                writer._begin()
        try:
            yield writer
            with writing(target):
                writer._end()
        except BaseException:
            writer._abandon()
            raise


@contextmanager
def _opened(path: Path | None, in_place: bool, resume: bool) -> Iterator[BinaryIO]:
    """The output, held by nobody else. A file that grows in place is as it was, and open at its end."""
    if path is None:
        with _standard_output() as stream:
            yield stream
    elif in_place:
        with writing(path):
            if resume and is_stream(path):
                raise UsageError(f"{path} is not a regular file, so it cannot be resumed")
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not truncated before it is held.
            descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666
            )
        with os.fdopen(descriptor, "ab", buffering=0) as grown:
            hold(descriptor, path)
            yield grown
    else:
        with exclusive(path), _whole_stream(path) as stream:
            yield stream


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    """Standard output without a buffer, in which rows would stay when their reader has gone."""
    sys.stdout.flush()
    try:
        descriptor = os.dup(sys.stdout.fileno())
    except io.UnsupportedOperation:  # no file of the system's, as in a notebook
        yield sys.stdout.buffer
        return
    with os.fdopen(descriptor, "wb", buffering=0) as stream:
        yield stream


@contextmanager
def _whole_stream(path: Path) -> Iterator[BinaryIO]:
    with whole_file(path) as part:
        stream = part.open("wb")
        try:
            yield stream
        except BaseException:
            # After a full disk, closing fails once more.
            with suppress(OSError):
                stream.close()
            raise
        with writing(path):
            stream.close()


def _resume(path: Path, kind: str, columns: Sequence[str], setup: Setup | None) -> Counter[str] | None:
    """Cuts off what a kill left unfinished and counts the paths of the rest; None when there is none yet.

    Before, it looks whether the rows come from this set-up.

    Unfinished is a last record without its end, and a last picture of which rows are missing.
    """
    foreign = InputError(
        f"{path} is not a {kind} file of cmfl predict with these columns ({','.join(columns)}), "
        "so it cannot be resumed; name another file"
    )
    header = csv_record(columns) if kind == "csv" else b""
    try:
        with path.open("r+b") as stream:
            done = Counter[str]()

            def count(row: Prediction) -> None:
                done[row.path] += row.is_last

            def rows() -> Iterator[tuple[Prediction | None, int]]:
                for row, found, stop in whole_rows(stream, kind):
                    if found != tuple(columns):
                        raise foreign
                    yield row, stop

            end = whole_part(stream, path, rows(), count, setup)
            stream.seek(end)
            start = _JSONL_START if kind == "jsonl" else b"" if end else header
            rest = stream.read(len(start))
            if rest != start[: len(rest)]:
                raise foreign
            stream.truncate(end)
    except OSError as error:
        raise InputError(f"cannot resume {path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise foreign from error
    return done or None
