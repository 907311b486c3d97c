"""One row per file, in order, on a terminal and in a file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.images import Status
from cmfl_export.provenance import COLUMNS, InspectSummary, inspect_files, write_rows

from .files import SETTINGS, saved, write_three


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    write_three(folder)
    (folder / "d.jpg").write_bytes(saved())
    return folder


def test_rows_in_order(folder: Path) -> None:
    rows = list(inspect_files([str(folder), str(folder / "absent.jpg")], workers=3))
    assert [Path(row.path).name for row in rows] == ["a.png", "b.jpg", "c.jpg", "d.jpg", "absent.jpg"]
    assert [row.status for row in rows] == [*[Status.OK] * 2, Status.EMPTY, Status.OK, Status.NOT_FOUND]
    assert rows[0].provenance.generator == "Stable Diffusion web UI"
    assert rows[2].record()["c2pa_state"] is None


def test_csv_and_jsonl(folder: Path, tmp_path: Path) -> None:
    summary = write_rows(inspect_files([str(folder)]), tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as stream:
        records = list(csv.DictReader(stream))
    assert tuple(records[0]) == COLUMNS
    assert [record["generator"] for record in records] == ["Stable Diffusion web UI", "", "", ""]
    write_rows(inspect_files([str(folder)]), tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert lines[0]["evidence"] == [{"where": "PNG text", "field": "parameters", "text": SETTINGS}]
    first = summary.lines()[0]
    assert first.startswith("4 files: 1 made or edited by a trained model by their own account, 1 without")
    assert first.endswith("1 failed (1 empty)")
    assert "no sign of a real picture" in summary.lines()[1]


def test_as_text(folder: Path) -> None:
    text = "\n".join(line for row in inspect_files([str(folder)]) for line in row.lines())
    assert "generator    Stable Diffusion web UI" in text
    assert "camera       Canon EOS 5D" in text
    assert "not read: the file is empty (empty)" in text


def test_the_output_is_no_input(folder: Path) -> None:
    (folder / "a.csv").touch()
    with pytest.raises(CmflError, match="input"):
        write_rows(iter(()), folder / "a.csv", [str(folder / "a.csv")])
    with pytest.raises(CmflError, match=r"\.csv"):
        write_rows(iter(()), folder / "a.txt")


def test_nothing_to_inspect(tmp_path: Path) -> None:
    with pytest.raises(CmflError, match="no images found"):
        list(inspect_files([str(tmp_path)]))
    assert InspectSummary().lines()[0].startswith("0 files")
