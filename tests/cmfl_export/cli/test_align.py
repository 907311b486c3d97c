"""cmfl align and --align, as a user runs them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from cmfl_export.faces.faces_csv import read_faces
from cmfl_export.images.status import Status
from cmfl_export.predict import read_rows
from tests.cmfl_export.command import cmfl, the_error
from tests.cmfl_export.photographs import coffee, group


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    group((150, 20, 30), (110, 250, 80), size=(400, 220)).save(folder / "two.png")
    coffee().save(folder / "none.png")
    return folder


class TestAlign:
    def test_crops_rows_and_what_it_says(self, photos: Path, tmp_path: Path) -> None:
        result = cmfl("align", photos, "-o", tmp_path / "out", "--provider", "cpu")
        assert result.returncode == 1  # one input has no face
        first, second, third = result.stdout.splitlines()
        assert first == "2 images: 2 faces, 1 without a face (1 no_face)"
        assert re.fullmatch(r"\d+\.\d s, \d+\.\d images/s on cpu", second)
        assert third == f"crops and faces.csv in {tmp_path / 'out'}"
        assert len(list((tmp_path / "out").glob("*.png"))) == 2

    def test_options(self, photos: Path, tmp_path: Path) -> None:
        options = ("--largest", "--format", "jpg", "--quality", "97", "--face-scale", "1", "--min-face", "30")
        result = cmfl("align", photos / "two.png", "-o", tmp_path, *options, "--provider", "cpu")
        assert result.returncode == 0
        assert [row.crop for row in read_faces(tmp_path / "faces.csv")] == ["two-0.jpg"]
        result = cmfl("align", photos, "-o", tmp_path, "--resume", "--provider", "cpu")
        assert "come from another set-up (faces: largest -> all; format: jpg -> png; " in the_error(result)
        result = cmfl("align", photos, "-o", tmp_path, "--resume", *options, "--provider", "cpu")
        assert "1 skipped: they have their rows already" in result.stdout

    def test_an_error_is_one_line(self, photos: Path, tmp_path: Path) -> None:
        message = the_error(cmfl("align", photos, "-o", tmp_path, "--min-face", "5", "--provider", "cpu"))
        assert message == "cmfl: the smallest face must be at least 12 pixels, not 5"


class TestPredict:
    def test_one_row_a_face(self, tiny: Path, photos: Path) -> None:
        options = ("--align", "all", "--min-resolution", "45", "--provider", "cpu")
        result = cmfl("predict", tiny, photos, *options)
        assert result.returncode == 1
        rows = list(csv.DictReader(result.stdout.splitlines()))
        assert [(Path(row["path"]).name, row["status"], row["face"], row["faces"]) for row in rows] == [
            ("none.png", "no_face", "", ""),
            ("two.png", "ok", "0", "2"),
            ("two.png", "low_resolution", "1", "2"),
        ]
        assert float(rows[1]["right"]) < float(rows[2]["left"])
        assert all(row["p_real"] and row["geometry"] == "aligned" for row in rows[1:])
        assert re.match(r"2 images, 2 faces: \d real, \d synthetic, 1 failed \(1 no_face\)", result.stderr)

    def test_largest_and_resume(self, tiny: Path, photos: Path, tmp_path: Path) -> None:
        out = tmp_path / "rows.jsonl"
        options = ("--align", "largest", "--min-resolution", "0", "-o", out, "--provider", "cpu")
        cmfl("predict", tiny, photos / "two.png", *options)
        result = cmfl("predict", tiny, photos, *options, "--resume")
        assert "1 skipped" in result.stderr
        assert [(row.face, row.status) for row in read_rows(out)] == [(0, Status.OK), (None, Status.NO_FACE)]

    def test_what_does_not_go_together(self, tiny: Path, photos: Path, tmp_path: Path) -> None:
        message = the_error(
            cmfl("predict", tiny, photos, "--align", "all", "--no-aligned", "--provider", "cpu")
        )
        assert "align makes aligned crops" in message
        out = tmp_path / "rows.csv"
        cmfl("predict", tiny, photos, "-o", out, "--provider", "cpu")
        resumed = cmfl("predict", tiny, photos, "-o", out, "--provider", "cpu", "--align", "all", "--resume")
        assert "another set-up (align: auto -> all)" in the_error(resumed)
