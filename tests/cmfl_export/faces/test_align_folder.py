"""align_to: crops and rows, in order, one for each face and one for each input without, resumable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from cmfl_export.base.errors import CmflError
from cmfl_export.faces.align_folder import AlignSummary, align_to
from cmfl_export.faces.aligner import Aligner
from cmfl_export.faces.crop import template
from cmfl_export.faces.faces_csv import COLUMNS, FaceRow, read_faces
from cmfl_export.faces.find import FaceFinder
from cmfl_export.images.status import Status
from tests.cmfl_export.photographs import astronaut, coffee, group

RUN = """
import sys
from cmfl_export.faces.align_folder import align_to
out, *inputs = sys.argv[1:]
align_to(inputs, out, provider="cpu", workers=2, resume=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of every kind, some in a subfolder."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub, folder").mkdir()
    small = astronaut().resize((256, 256), Image.Resampling.BOX)
    small.save(folder / "a.jpg", quality=95)
    small.save(folder / "a.png")
    (folder / "bad.jpg").write_bytes(b"no image")
    coffee().save(folder / "coffee.png")
    (folder / "empty.png").touch()
    turned = Image.Exif()
    turned[0x0112] = 6
    small.transpose(Image.Transpose.ROTATE_90).save(folder / "exif.png", exif=turned)
    small.convert("L").save(folder / "grey.png")
    see_through = small.convert("RGBA")
    see_through.putalpha(200)
    see_through.save(folder / "see-through.png")
    group((150, 20, 30), (110, 250, 80), size=(400, 220)).save(folder / "sub, folder" / "two.png")
    return folder


def run(inputs: Path | list[str], out: Path, **options: Any) -> AlignSummary:
    listed = [str(inputs)] if isinstance(inputs, Path) else inputs
    given: dict[str, Any] = {"provider": "cpu", "workers": 2}
    return align_to(listed, out, **(given | options))


@pytest.fixture(scope="module")
def done(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "faces"
    summary = run(folder, out)
    assert (summary.n, summary.faces) == (9, 7)
    assert summary.failed == {"no_face": 1, "not_an_image": 1, "empty": 1}
    assert summary.lines()[0] == "9 images: 7 faces, 3 without a face (1 empty, 1 no_face, 1 not_an_image)"
    return out


def test_rows_are_in_order_one_for_each_face_and_failure(done: Path, folder: Path) -> None:
    rows = read_faces(done / "faces.csv")
    assert [(Path(row.path).relative_to(folder).as_posix(), row.status.value, row.crop) for row in rows] == [
        ("a.jpg", "ok", "a-0.png"),
        ("a.png", "ok", "a~2-0.png"),
        ("bad.jpg", "not_an_image", ""),
        ("coffee.png", "no_face", ""),
        ("empty.png", "empty", ""),
        ("exif.png", "ok", "exif-0.png"),
        ("grey.png", "ok", "grey-0.png"),
        ("see-through.png", "ok", "see-through-0.png"),
        ("sub, folder/two.png", "ok", "sub, folder/two-0.png"),
        ("sub, folder/two.png", "ok", "sub, folder/two-1.png"),
    ]
    assert [(row.face, row.faces) for row in rows[-2:]] == [(0, 2), (1, 2)]
    assert rows[3].error == "no face found"
    assert rows[2].box is None
    assert rows[2].landmarks is None
    assert rows[2].confidence is None


def test_every_crop_is_there_and_nothing_else(done: Path) -> None:
    named = {row.crop for row in read_faces(done / "faces.csv") if row.crop}
    there = {path.relative_to(done).as_posix() for path in done.rglob("*") if path.is_file()}
    assert there == named | {"faces.csv", "faces.csv.setup.json"}
    for name in named:
        with Image.open(done / name) as crop:
            assert (crop.size, crop.mode, crop.format) == ((224, 224), "RGB", "PNG")
            assert crop.info["cmfl-align"] == "scale 0.8"


def test_crops_are_upright_and_in_place(done: Path) -> None:
    """Whatever way the file was stored, the face in the crop is where the template has it."""
    rows = {Path(row.path).name: row for row in read_faces(done / "faces.csv") if row.crop}
    finder = FaceFinder(provider="cpu")
    reference = np.asarray(Image.open(done / rows["a.png"].crop), float)
    for name in ("a.jpg", "exif.png", "see-through.png", "two.png"):
        with Image.open(done / rows[name].crop) as crop:
            (face, *_) = finder.find(crop)
        residual = np.linalg.norm(face.landmarks - template(), axis=1)
        assert residual.mean() < 9
    exif = np.asarray(Image.open(done / rows["exif.png"].crop), float)
    assert np.abs(exif - reference).mean() < 12


def test_the_table_is_what_others_read(done: Path) -> None:
    header = (done / "faces.csv").read_text().splitlines()[0]
    assert (
        header
        == ",".join(COLUMNS)
        == (
            "path,face,faces,left,top,right,bottom,left_eye_x,left_eye_y,right_eye_x,right_eye_y,nose_x,nose_y,"
            "left_mouth_x,left_mouth_y,right_mouth_x,right_mouth_y,confidence,padding,crop,status,error"
        )
    )
    (row, *_) = read_faces(done / "faces.csv")
    assert row.box is not None
    assert row.landmarks is not None
    left, top, right, bottom = row.box
    assert left < row.landmarks[0] < row.landmarks[4] < row.landmarks[2] < right
    assert top < row.landmarks[1] < row.landmarks[5] < row.landmarks[7] < bottom
    assert row.padding == 0.0
    assert row.confidence == pytest.approx(1, abs=0.01)


def test_largest_jpeg_and_scale(folder: Path, tmp_path: Path) -> None:
    two = folder / "sub, folder" / "two.png"
    run(two, tmp_path, largest=True, format="jpg", face_scale=1.0)
    (row,) = read_faces(tmp_path / "faces.csv")
    assert (row.face, row.faces, row.crop) == (0, 1, "two-0.jpg")
    with Image.open(tmp_path / row.crop) as crop:
        assert crop.format == "JPEG"
        assert isinstance(crop, JpegImageFile)
        assert crop.info["comment"] == b"cmfl-align scale 1"
        assert crop.layer[0][1:3] == crop.layer[1][1:3]  # no chroma subsampling
        assert crop.quantization[0][0] <= 2


@pytest.mark.parametrize(
    ("inputs", "crops"),
    [
        (["{}/a.png", "{}/a.jpg"], ["a-0.png", "a~2-0.png"]),
        (["{}/a.png", "{}/a.png"], ["a-0.png", "a-0.png"]),
        (["{}/sub*"], ["sub, folder/two-0.png", "sub, folder/two-1.png"]),
        (["{}/sub, folder/*.png"], ["two-0.png", "two-1.png"]),
    ],
)
def test_names(folder: Path, tmp_path: Path, inputs: list[str], crops: list[str]) -> None:
    run([text.format(folder) for text in inputs], tmp_path / "out")
    assert [row.crop for row in read_faces(tmp_path / "out" / "faces.csv")] == crops


def test_names_as_long_as_file_systems_allow(folder: Path, tmp_path: Path) -> None:
    for name in ("x" * 251, "é" * 125 + "1", "é" * 125 + "2"):
        (tmp_path / f"{name}.png").write_bytes((folder / "a.png").read_bytes())
    summary = run(tmp_path, tmp_path / "out")
    assert summary.faces == 3
    assert [row.crop for row in read_faces(tmp_path / "out" / "faces.csv")] == [
        "x" * 240 + "-0.png",
        "é" * 120 + "-0.png",
        "é" * 120 + "~2-0.png",
    ]


def test_what_is_written_is_no_input(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes((folder / "a.png").read_bytes())
    run(tmp_path, tmp_path / "crops")
    summary = run(tmp_path, tmp_path / "crops", resume=True)
    assert (summary.n, summary.skipped) == (0, 1)


def test_resume_after_a_kill_loses_and_repeats_nothing(folder: Path, tmp_path: Path) -> None:
    names = ["sub, folder/two.png", "bad.jpg", "a.png", "absent.png"] * 12
    inputs = [str(folder / name) for name in names]
    command = [sys.executable, "-c", RUN, str(tmp_path), *inputs]
    table, kills = tmp_path / "faces.csv", 0
    for wanted in (200, 1500, 3000):
        process = subprocess.Popen(command)
        while process.poll() is None and not (table.exists() and table.stat().st_size > wanted):
            time.sleep(0.005)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills
    subprocess.run(command, check=True)
    rows = read_faces(table)
    assert [row.path for row in rows if row.face in (None, 0)] == inputs
    assert len(rows) == len(inputs) + 12


def test_a_picture_of_which_rows_are_missing_is_done_again(folder: Path, tmp_path: Path) -> None:
    inputs = [str(folder / "a.png"), str(folder / "sub, folder" / "two.png")]
    run(inputs, tmp_path)
    table = tmp_path / "faces.csv"
    whole = table.read_bytes()
    for cut in (len(whole) - 3, whole.rindex(b"\n", 0, -1) + 1, whole.rindex(b"\n", 0, -1) - 5, 30, 0):
        table.write_bytes(whole[:cut])
        run(inputs, tmp_path, resume=True)
        assert table.read_bytes() == whole


def test_refusals(folder: Path, done: Path, tmp_path: Path) -> None:
    photograph = folder / "a.png"
    with pytest.raises(CmflError, match=r"faces\.csv exists; continue it with --resume"):
        run(photograph, done)
    (tmp_path / "faces.csv").write_text("path,other\n")
    with pytest.raises(CmflError, match=r"is not a faces\.csv"):
        run(photograph, tmp_path, resume=True)
    assert (tmp_path / "faces.csv").read_text() == "path,other\n"
    for options, message in (
        ({"format": "gif"}, "unknown format 'gif'"),
        ({"quality": 90}, "quality must be within 95 and 100, not 90"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"face_scale": 3.0}, "scale must be within 0.2 and 2.0, not 3.0"),
    ):
        with pytest.raises(CmflError, match=message):
            run(photograph, tmp_path / "new", **options)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(CmflError, match="no images found in"):
        run(tmp_path / "nothing", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_a_picture_provokes_is_its_row_and_what_fails_for_all_ends_the_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Aligner, picture: Image.Image) -> None:
        raise ZeroDivisionError("odd\nnumbers")

    monkeypatch.setattr(Aligner, "__call__", broken)
    run(folder / "a.png", tmp_path / "out")
    (row,) = read_faces(tmp_path / "out" / "faces.csv")
    assert (row.status, row.error) == (Status.UNREADABLE, "ZeroDivisionError: odd numbers")

    def lost(self: Aligner, picture: Image.Image) -> None:
        raise CmflError("GPU lost")

    monkeypatch.setattr(Aligner, "__call__", lost)
    with pytest.raises(CmflError, match="GPU lost"):
        run(folder / "a.png", tmp_path / "other")


def test_a_crop_that_cannot_be_written_ends_the_run(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a-0.png").mkdir()
    with pytest.raises(CmflError, match=r"cannot write .*a-0\.png: it is a folder"):
        run(folder / "a.png", tmp_path)
    assert read_faces(tmp_path / "faces.csv") == []


def test_names_that_are_not_unicode(folder: Path, tmp_path: Path) -> None:
    name = tmp_path / os.fsdecode(b"\xff.png")
    name.write_bytes((folder / "a.png").read_bytes())
    run(name, tmp_path / "out")
    (row,) = read_faces(tmp_path / "out" / "faces.csv")
    assert row.path == str(name)
    assert (tmp_path / "out" / row.crop).is_file()


def test_a_row_of_another_length_is_none() -> None:
    with pytest.raises(ValueError, match="21 values instead of 22"):
        FaceRow.of([""] * 21)
