"""Writes result rows as csv, jsonl, json or parquet."""

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
from ..images import scheme_of, shown, uploading
from ..runtime import KINDS, Prediction, columns_with
from .parquet_rows import PARQUET_KEY
from .rows import FORMATS, format_of, whole_rows

_JSONL_START = b'{"path": "'
_ROWS_IN_GROUP = 8192


class Writer(ABC):
    """Writes rows at once.

    Attributes:
        done: counts, by path, the inputs that a resumed file already has: pictures, whole videos, and frames
            of the video that was not finished.
        unfinished: the rows of the latter.
    """

    def __init__(
        self,
        stream: BinaryIO,
        target: str,
        columns: Sequence[str],
        done: Counter[str],
        unfinished: Sequence[Prediction] = (),
    ) -> None:
        self.done = done
        self.unfinished = unfinished
        self._columns = columns
        self._stream = stream
        self._target = target
        self._setup: tuple[Path, Setup] | None = None
        self._about: Setup | None = None

    def write(self, rows: Sequence[Prediction]) -> None:
        """Writes the rows. csv and jsonl rows go to the operating system at once, so a kill loses none.

        Raises:
            UsageError: the target cannot be written, for example because the disk is full.
            BrokenPipeError: the reader of standard output has ended (`| head`); end without an error then.
        """
        if rows and self._setup is not None:
            path, setup = self._setup
            setups.keep(path, setup, self._line(rows[0]))
            self._setup = None
        with writing(self._target):
            self._put(rows)

    def keeps(self, path: Path, setup: Setup) -> None:
        """Stores the set-up beside the file as soon as the file gets a row."""
        self._setup = path, setup

    def describes(self, setup: Setup | None) -> None:
        """Stores the set-up in the file, where the format has a place for it."""
        self._about = setup

    def _line(self, row: Prediction) -> bytes:
        """Returns the row as bytes of a csv or jsonl file."""
        raise NotImplementedError

    def _begin(self) -> None:
        """Writes what comes before the first row."""

    @abstractmethod
    def _put(self, rows: Sequence[Prediction]) -> None:
        """Writes rows in the writer's format."""

    def _end(self) -> None:
        """Writes what comes after the last row."""

    def _abandon(self) -> None:
        """Releases resources after a failure."""


class _CsvWriter(Writer):
    _on_terminal = False

    def _begin(self) -> None:
        # Files and pipes get every byte as it is, but a file name must not control a terminal.
        self._on_terminal = self._stream.isatty()
        send(self._stream, csv_record(self._columns))

    def _put(self, rows: Sequence[Prediction]) -> None:
        send(self._stream, b"".join(map(self._line, rows)))

    def _line(self, row: Prediction) -> bytes:
        values = row.record(self._columns).values()
        return csv_record(
            [_field(visible(v) if self._on_terminal and isinstance(v, str) else v) for v in values]
        )


def _field(value: object) -> object:
    """A value as csv has it: flags as JSON has them."""
    return str(value).lower() if isinstance(value, bool) else value


class _JsonlWriter(Writer):
    def _put(self, rows: Sequence[Prediction]) -> None:
        send(self._stream, b"".join(map(self._line, rows)))

    def _line(self, row: Prediction) -> bytes:
        return f"{json.dumps(row.record(self._columns))}\n".encode("ascii")


class _JsonWriter(Writer):
    _before = "\n"

    def _begin(self) -> None:
        send(self._stream, b"[")

    def _put(self, rows: Sequence[Prediction]) -> None:
        if rows:
            text = ",\n".join(json.dumps(row.record(self._columns)) for row in rows)
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
        types = {"text": pa.string(), "score": pa.float32(), "number": pa.float32(), "count": pa.int32()} | {
            "flag": pa.bool_()
        }
        fields = [*((name, types[KINDS[name]]) for name in self._columns), ("path_bytes", pa.binary())]
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
            row.record(self._columns)
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
        if self._about is not None:
            self._parquet.add_key_value_metadata({PARQUET_KEY: json.dumps(setups.complete(self._about))})
        self._parquet.close()

    def _abandon(self) -> None:
        # Its destructor would write to a closed file later.
        with suppress(OSError):
            self._parquet.close()


_WRITERS: dict[str, type[Writer]] = dict(
    zip(FORMATS, (_CsvWriter, _JsonlWriter, _JsonWriter, _ParquetWriter), strict=True)
)


@contextmanager
def open_writer(
    path: Path | str | None,
    format: str | None = None,
    *,
    groups: Sequence[str] = (),
    resume: bool = False,
    setup: Setup | None = None,
) -> Iterator[Writer]:
    """Opens an output for rows: `with open_writer(path) as writer: writer.write(rows)`.

    csv and jsonl grow in place, one batch at a time, and can be resumed: an incomplete end is removed, and
    `writer.done` counts the inputs that have their rows. json (one array) and parquet appear whole at the
    end or, when the block ends in an exception, not at all. An existing file is replaced unless resumed. A
    file has one writer at a time.

    Scores have the fewest digits that give the same float32; a score that is None or not finite is empty in
    csv and null elsewhere. File names that are not UTF-8 keep their bytes in csv; json and jsonl have an
    escape `\\udc80`..`\\udcff` for each such byte, like Python's os.fsdecode; parquet has backslashes in
    `path`, and the bytes in the column `path_bytes`.

    Args:
        path: the file; a missing folder is made. An address in an object store is written in parts and
            appears whole or not at all. None is standard output, which cannot be parquet.
        format: one of FORMATS; None takes it from the ending of `path`, csv without an ending.
        groups: of columns, that the rows also have; see `cmfl_export.runtime.columns`.
        resume: continue an existing csv or jsonl file.
        setup: what the rows come from, see `setups`. It is stored beside csv and jsonl files, and a resumed
            file must have the same. Parquet files have it in their metadata.

    Raises:
        UsageError: an unknown format, a target that cannot be written or that another process is writing, or
            a file to resume that comes from another set-up.
        InputError: the file to resume cannot be read, or was not written by `cmfl predict`.
        PackageError: pyarrow is missing.
    """
    address = path if isinstance(path, str) and scheme_of(path) else None
    path = None if path is None else Path(path)
    kind = format_of(path, format)
    columns = columns_with(groups)
    if address is not None:
        if resume:
            raise UsageError(
                f"{shown(address)} cannot be resumed, as an object appears only when it is whole; write to a "
                "local file with -o"
            )
        with (
            uploading(address) as stream,
            _complete(_WRITERS[kind](stream, shown(address), columns, Counter()), setup) as writer,
        ):
            yield writer
        return
    in_place = kind in ("csv", "jsonl")
    if resume and (path is None or not in_place):
        raise UsageError(
            f"{kind if path else 'standard output'} cannot be resumed; use -o with a csv or jsonl file"
        )
    if path is None and kind == "parquet":
        raise UsageError("parquet cannot go to standard output; name a file with -o")
    with _opened(path, in_place, resume) as stream:
        target = "standard output" if path is None else str(path)
        done: Counter[str] = Counter()
        unfinished: list[Prediction] = []
        if path is not None and in_place and not is_stream(path):
            if resume:
                done, unfinished = _resume(path, kind, columns, setup)
            if not done:
                stream.truncate(0)
                setups.forget(path)
        writer = _WRITERS[kind](stream, target, columns, done, unfinished)
        if not done and setup is not None and path is not None and in_place and not is_stream(path):
            writer.keeps(path, setup)
        with _complete(writer, setup, begun=bool(done)):
            yield writer


@contextmanager
def _complete(writer: Writer, setup: Setup | None, *, begun: bool = False) -> Iterator[Writer]:
    """Writes what comes before the rows, unless it is there, and what comes after them."""
    writer.describes(setup)
    if not begun:
        with writing(writer._target):
            writer._begin()
    try:
        yield writer
        with writing(writer._target):
            writer._end()
    except BaseException:
        writer._abandon()
        raise


@contextmanager
def _opened(path: Path | None, in_place: bool, resume: bool) -> Iterator[BinaryIO]:
    """Opens the output for this process alone. A file that grows in place keeps its content."""
    if path is None:
        with _standard_output() as stream:
            yield stream
    elif in_place:
        with writing(path):
            if resume and is_stream(path):
                raise UsageError(f"{path} is not a regular file, so it cannot be resumed")
            path.parent.mkdir(parents=True, exist_ok=True)
            # Opened without truncating it, because another process may hold it.
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
    """Opens standard output without a buffer, in which rows would stay after their reader has ended."""
    sys.stdout.flush()
    try:
        descriptor = os.dup(sys.stdout.fileno())
    except io.UnsupportedOperation:  # not a file of the operating system, as in a notebook
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
            # On a full disk, closing fails again.
            with suppress(OSError):
                stream.close()
            raise
        with writing(path):
            stream.close()


def _resume(
    path: Path, kind: str, columns: Sequence[str], setup: Setup | None
) -> tuple[Counter[str], list[Prediction]]:
    """Removes an incomplete end of the file; returns `done` and `unfinished` of its `Writer`.

    An end is incomplete if the last record is cut off, or if rows of the last image are missing. First the
    rows are checked to come from this set-up.

    Raises:
        UsageError: they come from another set-up.
        InputError: the file cannot be read, or has other rows or columns.
    """
    foreign = InputError(
        f"{path} is not a {kind} file of cmfl predict with the columns {','.join(columns)}, "
        "so it cannot be resumed; give another file"
    )
    header = csv_record(columns) if kind == "csv" else b""
    try:
        with path.open("r+b") as stream:
            done = Counter[str]()
            unfinished: list[Prediction] = []

            def count(row: Prediction) -> None:
                done[row.path] += row.is_last
                if row.time is not None:
                    unfinished.append(row)
                elif row.frames is not None:
                    # The row of the video stands for all of its frames.
                    done.subtract(frame.path for frame in unfinished if frame.is_last)
                    unfinished.clear()

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
    return done, unfinished
