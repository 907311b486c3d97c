"""The files of result rows: what is written, read back, resumed after a kill, and refused."""

from __future__ import annotations

import builtins
import csv
import io
import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmfl_export.base.errors import CmflError
from cmfl_export.images.status import Status
from cmfl_export.predict import FORMATS, open_writer, read_rows
from cmfl_export.runtime import COLUMNS, Prediction

ROWS = [
    Prediction("plain.jpg", 0.1, 0.25, 1e-8, "synthetic"),
    Prediction('new\nline, "quoted"\r.jpg', 1.0, 0.0, 0.5, "real"),
    Prediction(os.fsdecode(b"\xff\xfe.jpg"), status=Status.TRUNCATED, error="the file ends too early"),
    Prediction("plain.jpg", 0.9, decision="real"),
    Prediction("日本 é.png", 0.33333334, None, None, "synthetic"),
]
READABLE = ["csv", "jsonl", "json"]

names = st.binary(min_size=1, max_size=12).map(os.fsdecode)
scores = st.none() | st.floats(0, 1, width=32)
predictions = st.builds(
    Prediction,
    names,
    scores,
    scores,
    scores,
    st.sampled_from(["real", "synthetic", None]),
    st.sampled_from(Status),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8),
)


def save(path: Path, rows: Sequence[Prediction], batch: int = 2, **options: Any) -> Counter[str]:
    with open_writer(path, **options) as writer:
        done = Counter(writer.done)
        for start in range(0, len(rows), batch):
            writer.write(rows[start : start + batch])
    return done


def single(row: Prediction) -> Prediction:
    """The row with its scores as float32, which is what a file keeps."""

    def kept(value: float | None) -> float | None:
        return None if value is None else float(str(np.float32(value)))

    scores = kept(row.p_real), kept(row.p_real_rgb), kept(row.p_real_spectrum)
    return Prediction(row.path, *scores, row.decision, row.status, row.error)


def refused(match: str, path: Path | None, format: str | None = None, *, resume: bool = False) -> None:
    with pytest.raises(CmflError, match=match) as caught, open_writer(path, format, resume=resume):
        pass
    assert "\n" not in str(caught.value)


# What each format looks like.


def test_csv(tmp_path: Path) -> None:
    save(tmp_path / "rows.csv", ROWS)
    assert (tmp_path / "rows.csv").read_bytes() == (
        b"path,p_real,p_real_rgb,p_real_spectrum,decision,status,error\n"
        b"plain.jpg,0.1,0.25,1e-08,synthetic,ok,\n"
        b'"new\nline, ""quoted""\r.jpg",1.0,0.0,0.5,real,ok,\n'
        b"\xff\xfe.jpg,,,,,truncated,the file ends too early\n"
        b"plain.jpg,0.9,,,real,ok,\n" + "日本 é.png,0.33333334,,,synthetic,ok,\n".encode()
    )


def test_jsonl_and_json(tmp_path: Path) -> None:
    for name in ("rows.jsonl", "rows.ndjson", "rows.json"):
        save(tmp_path / name, ROWS)
    text = (tmp_path / "rows.jsonl").read_bytes().decode("ascii")
    assert text == (tmp_path / "rows.ndjson").read_text()
    records = [json.loads(line) for line in text.split("\n")[:-1]]
    assert records == json.loads((tmp_path / "rows.json").read_text())
    assert text.split("\n")[0] == (
        '{"path": "plain.jpg", "p_real": 0.1, "p_real_rgb": 0.25, "p_real_spectrum": 1e-08, '
        '"decision": "synthetic", "status": "ok", "error": ""}'
    )
    assert os.fsencode(records[2]["path"]) == b"\xff\xfe.jpg"
    assert records[2]["p_real"] is None
    assert all(tuple(record) == COLUMNS for record in records)


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import parquet

    monkeypatch.setattr("cmfl_export.predict.row_writers._ROWS_IN_GROUP", 4)
    save(tmp_path / "rows.parquet", ROWS)
    file = parquet.ParquetFile(tmp_path / "rows.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [4, 1]
    table = file.read()
    assert table.column_names == [*COLUMNS, "path_bytes"]
    assert [str(table.schema.field(name).type) for name in COLUMNS] == [
        "string",
        *["float"] * 3,
        *["string"] * 3,
    ]
    records = table.to_pylist()
    assert [record["path_bytes"] for record in records] == [os.fsencode(row.path) for row in ROWS]
    assert records[2]["path"] == r"\udcff\udcfe.jpg"
    assert records[4]["path"] == "日本 é.png"
    assert [record["p_real"] for record in records] == [
        None if row.p_real is None else float(np.float32(row.p_real)) for row in ROWS
    ]
    assert [record["status"] for record in records] == [row.status for row in ROWS]


@pytest.mark.parametrize("format", READABLE)
def test_no_rows(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"rows.{format}"
    save(path, [])
    assert list(read_rows(path)) == []
    with open_writer(path) as writer:
        writer.write([])
        writer.write(ROWS[:1])
        writer.write([])
    assert list(read_rows(path)) == ROWS[:1]


def test_a_score_that_is_no_number_is_none(tmp_path: Path) -> None:
    for format in READABLE:
        path = tmp_path / f"rows.{format}"
        save(path, [Prediction("a", math.nan, math.inf, -math.inf)])
        assert list(read_rows(path)) == [Prediction("a")]


@given(st.lists(predictions, max_size=6), st.sampled_from(READABLE))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_back_as_they_were(tmp_path: Path, rows: list[Prediction], format: str) -> None:
    path = tmp_path / f"rows.{format}"
    save(path, rows)
    back = list(read_rows(path))
    assert back == [single(row) for row in rows]
    for row, copy in zip(rows, back, strict=True):
        assert row.p_real is None or np.float32(copy.p_real) == np.float32(row.p_real)


@given(st.lists(predictions, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_csv_is_what_other_readers_understand(tmp_path: Path, rows: list[Prediction]) -> None:
    path = tmp_path / "rows.csv"
    save(path, rows)
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        records = list(csv.DictReader(stream, strict=True))
    assert [record["path"] for record in records] == [row.path for row in rows]
    assert [record["status"] for record in records] == [row.status for row in rows]


# Growing in place and going on after a kill.


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_each_batch_is_in_the_file_at_once(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"rows.{format}"
    with open_writer(path) as writer:
        for n, row in enumerate(ROWS, start=1):
            writer.write([row])
            assert list(read_rows(path)) == ROWS[:n]


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_kill_at_any_byte_loses_and_repeats_no_row(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"rows.{format}"
    save(path, ROWS)
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        with open_writer(path, resume=True) as writer:
            left = Counter(writer.done)
            for row in ROWS:
                if left[row.path]:
                    left[row.path] -= 1
                else:
                    writer.write([row])
        assert path.read_bytes() == whole
        assert not left.total()


def test_what_is_done_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    assert save(path, ROWS, resume=True) == Counter()
    assert save(path, ROWS[:1], resume=True) == Counter(row.path for row in ROWS)
    assert list(read_rows(path)) == [*ROWS, ROWS[0]]
    assert save(path, ROWS[:1]) == Counter()
    assert list(read_rows(path)) == ROWS[:1]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", b"id,label\n1,2\n"),
        ("rows.csv", b"dear diary"),
        ("rows.csv", b'{"path": "a"}\n'),
        ("rows.csv", (",".join(COLUMNS) + "\na.jpg,0.5\n").encode()),
        ("rows.csv", (",".join(COLUMNS) + "\na.jpg,x,,,real,ok,\n").encode()),
        ("rows.csv", (",".join(COLUMNS) + "\na.jpg,,,,real,fine,\n").encode()),
        ("rows.csv", (",".join(COLUMNS) + '\n"a.jpg' + "\n" * (1 << 20)).encode()),
        ("rows.csv", (",".join(COLUMNS) + "\n" + "a" * (1 << 20) + "a").encode()),
        ("rows.jsonl", b"dear diary"),
        ("rows.jsonl", b"[1, 2]\n"),
        ("rows.jsonl", b'{"path": "a"}\n'),
        ("rows.jsonl", (",".join(COLUMNS) + "\n").encode()),
    ],
)
def test_a_foreign_file_is_not_resumed_and_stays_as_it_is(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    refused("cannot be resumed", path, resume=True)
    assert path.read_bytes() == content


def test_what_cannot_be_resumed_at_all(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    refused("not a regular file", tmp_path / "pipe.csv", resume=True)
    refused("json cannot be resumed", tmp_path / "rows.json", resume=True)
    refused("parquet cannot be resumed", tmp_path / "rows.parquet", resume=True)
    refused("standard output cannot be resumed", None, resume=True)


# Whole or not at all.


@pytest.mark.parametrize("format", ["json", "parquet"])
def test_a_failure_leaves_what_was_there(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"rows.{format}"
    for before in (None, b"before"):
        if before:
            path.write_bytes(before)
        with suppress(KeyboardInterrupt), open_writer(path) as writer:
            writer.write(ROWS)
            assert (path.read_bytes() if path.exists() else None) == before
            raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == ([path] if before else [])
    assert path.read_bytes() == b"before"
    save(path, ROWS)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() != b"before"


@pytest.mark.parametrize("format", FORMATS)
def test_a_link_is_written_through(tmp_path: Path, format: str) -> None:
    (tmp_path / "link").symlink_to("real")
    save(tmp_path / "link", ROWS, format=format)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").stat().st_size > 0


# What cannot be written.


def test_targets(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for format in FORMATS:
        save(tmp_path / "new" / "folder" / f"rows.{format}", ROWS)
        refused("cannot write .*new: (Is a directory|it is a folder)", tmp_path / "new", format)
        refused("cannot write .*rows", tmp_path / "file" / "rows", format)
    for format in ("json", "parquet"):
        refused("not a regular file", Path(os.devnull), format)
    save(Path(os.devnull), ROWS)


def test_formats_and_endings(tmp_path: Path) -> None:
    refused("unknown format 'xml'; choose one of: csv, jsonl, json, parquet", tmp_path / "rows", "xml")
    refused(r"names no format; give --format csv\|jsonl\|json\|parquet", tmp_path / "rows.xlsx")
    refused("parquet cannot go to standard output", None, "parquet")
    save(tmp_path / "plain", ROWS)
    save(tmp_path / "rows.JSON", ROWS)
    save(tmp_path / "rows.xlsx", ROWS, format="csv")
    assert list(read_rows(tmp_path / "plain")) == ROWS
    assert list(read_rows(tmp_path / "rows.JSON")) == ROWS


@pytest.mark.parametrize("format", READABLE)
def test_a_full_disk_is_one_error(format: str) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    stdout = io.TextIOWrapper(io.BytesIO())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", stdout)
        with open_writer(None, format) as writer:
            stream, writer._stream = writer._stream, Full()
            with pytest.raises(CmflError, match="cannot write standard output: No space left"):
                writer.write(ROWS)
            writer._stream = stream


@pytest.mark.parametrize("format", ["json", "parquet"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, format: str) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(CmflError, match=r"cannot write .*File too large"):
            save(tmp_path / f"rows.{format}", ROWS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def without(name: str, *args: Any) -> ModuleType:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return load(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    refused(r"pip install 'cmfl-export\[parquet\]'", tmp_path / "rows.parquet")
    assert list(tmp_path.iterdir()) == []


# Standard output.


@pytest.mark.parametrize("format", READABLE)
def test_standard_output(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], format: str) -> None:
    save(tmp_path / f"rows.{format}", ROWS)
    with open_writer(None, format) as writer:
        writer.write(ROWS[:2])
        writer.write(ROWS[2:])
    assert capfdbinary.readouterr().out == (tmp_path / f"rows.{format}").read_bytes()


def test_rows_leave_for_standard_output_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BufferedWriter(sent)))
    with open_writer(None) as writer:
        writer.write(ROWS[:1])
        assert sent.getvalue().endswith(b"plain.jpg,0.1,0.25,1e-08,synthetic,ok,\n")


def test_a_closed_pipe_is_a_broken_pipe_error() -> None:
    code = (
        "import itertools, os\n"
        "from cmfl_export.predict import open_writer\n"
        "from cmfl_export.runtime import Prediction\n"
        "try:\n"
        "    with open_writer(None) as writer:\n"
        "        for i in itertools.count():\n"
        "            writer.write([Prediction(str(i))] * 100)\n"
        "except BrokenPipeError:\n"
        "    os._exit(7)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"path,")
        process.stdout.close()
        assert process.wait(30) == 7


# Reading back.


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", b"path\n"),
        ("rows.jsonl", b"{}\n"),
        ("rows.json", b"{"),
        ("rows.json", b"[3]"),
        ("rows.json", b"7"),
    ],
)
def test_foreign_files_are_not_read(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CmflError, match=r"is not a .* file of cmfl predict"):
        list(read_rows(tmp_path / name))


def test_unreadable_files_are_one_error(tmp_path: Path) -> None:
    with pytest.raises(CmflError, match=r"cannot read .*gone\.csv: No such file"):
        list(read_rows(tmp_path / "gone.csv"))
    with pytest.raises(CmflError, match="use a csv, jsonl or json file"):
        list(read_rows(tmp_path / "rows.parquet"))
