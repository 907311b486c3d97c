"""Rows of faces: more columns in every format, and pictures with several rows through a kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.images.status import Status
from cmfl_export.predict import open_writer, parquet_rows, read_rows, row_of
from cmfl_export.runtime import COLUMNS, FACE_COLUMNS, Prediction, columns_with

BOX = (10.5, -3.0, 60.0, 80.1)
ROWS = [
    Prediction("two, faces.jpg", 0.25, 0.5, 0.125, "synthetic", face=0, faces=2, box=BOX),
    Prediction("two, faces.jpg", 0.75, None, None, "real", face=1, faces=2, box=(0.0, 1.0, 2.0, 3.0)),
    Prediction("none.jpg", status=Status.NO_FACE, error="no face found"),
    Prediction("odd.jpg", status=Status.UNREADABLE, error="no finite score", face=0, faces=1, box=BOX),
    Prediction("two, faces.jpg", 0.25, 0.5, 0.125, "synthetic", face=0, faces=2, box=BOX),
    Prediction("two, faces.jpg", 0.75, None, None, "real", face=1, faces=2, box=(0.0, 1.0, 2.0, 3.0)),
]


def save(path: Path, rows: Sequence[Prediction], *, faces: bool = True, resume: bool = False) -> Counter[str]:
    groups = ["faces"] if faces else []
    with open_writer(path, groups=groups, resume=resume) as writer:
        done = Counter(writer.done)
        for row in rows:
            writer.write([row])
    return done


@pytest.mark.parametrize("format", ["csv", "jsonl", "json"])
def test_rows_come_back_as_they_were(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"rows.{format}"
    save(path, ROWS)
    assert list(read_rows(path)) == ROWS


def test_the_columns(tmp_path: Path) -> None:
    save(tmp_path / "rows.csv", ROWS[:3])
    assert (tmp_path / "rows.csv").read_text() == (
        "path,p_real,p_real_rgb,p_real_spectrum,decision,status,error,face,faces,left,top,right,bottom\n"
        '"two, faces.jpg",0.25,0.5,0.125,synthetic,ok,,0,2,10.5,-3.0,60.0,80.1\n'
        '"two, faces.jpg",0.75,,,real,ok,,1,2,0.0,1.0,2.0,3.0\n'
        "none.jpg,,,,,no_face,no face found,,,,,,\n"
    )


def test_without_faces_the_schema_is_the_usual_one(tmp_path: Path) -> None:
    save(tmp_path / "rows.csv", ROWS, faces=False)
    assert (tmp_path / "rows.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert {row.face for row in read_rows(tmp_path / "rows.csv")} == {None}


def test_parquet(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    save(tmp_path / "rows.parquet", ROWS)
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.column_names == [*COLUMNS, *FACE_COLUMNS, "path_bytes"]
    assert table["face"].to_pylist() == [0, 1, None, 0, 0, 1]
    assert table["bottom"].to_pylist()[:3] == [pytest.approx(80.1), 3.0, None]


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_kill_at_any_byte_loses_and_repeats_no_picture(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"rows.{format}"
    save(path, ROWS)
    whole = path.read_bytes()
    for cut in range(0, len(whole) + 1, 3):
        path.write_bytes(whole[:cut])
        with open_writer(path, groups=["faces"], resume=True) as writer:
            # Pictures in order, each as often as all its rows are there.
            left = Counter(writer.done)
            for row in ROWS:
                if left[row.path]:
                    left[row.path] -= row.is_last
                else:
                    writer.write([row])
        assert path.read_bytes() == whole


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@pytest.mark.parametrize("faces", [True, False])
def test_rows_with_other_columns_are_not_resumed(tmp_path: Path, format: str, faces: bool) -> None:
    path = tmp_path / f"rows.{format}"
    save(path, ROWS[2:3], faces=faces)
    before = path.read_bytes()
    with pytest.raises(CmflError, match="cannot be resumed; give another file"):
        save(path, [], faces=not faces, resume=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("format", ["csv", "jsonl", "json", "parquet"])
def test_how_pictures_became_inputs(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"rows.{format}"
    low = replace(ROWS[0], status=Status.LOW_RESOLUTION, error="a small face", faces=1)
    rows = [
        replace(low, geometry="aligned", face_size=49.5, faces_found=2),
        Prediction("crop.png", 0.5, decision="real", geometry="crop", face_size=140.1),
        Prediction("grey.png", 0.5, decision="real", geometry="crop", faces_found=0),
        ROWS[2],
    ]
    with open_writer(path, groups=["geometry", "faces"]) as writer:
        writer.write(rows)
    if format == "parquet":
        with path.open("rb") as stream:
            assert list(parquet_rows(stream)) == rows
    else:
        assert list(read_rows(path)) == rows


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("geometry", "round", "the geometry is 'round'"),
        ("face_size", -1.0, "face_size is -1.0"),
        ("faces_found", float("inf"), "faces_found is inf"),
    ],
)
def test_a_wrong_geometry_is_refused(column: str, value: object, why: str) -> None:
    record = Prediction("a", 0.5, decision="real").record(columns_with(["geometry"]))
    with pytest.raises(ValueError, match=why):
        row_of(record | {column: value})
