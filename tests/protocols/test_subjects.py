"""Who is seen on a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmfl_export.base.errors import CmflError
from protocols.subjects import subjects_of

NAMES = ["real/p7_1.png", "real/p7_2.png", "fake/a/p7_x.jpg"]


def test_by_default_each_file_is_its_own() -> None:
    assert subjects_of([*NAMES, "a.b.png", ".png", "x/ .png", "x/y .png"]) == {
        "real/p7_1.png": "real/p7_1",
        "real/p7_2.png": "real/p7_2",
        "fake/a/p7_x.jpg": "fake/a/p7_x",
        "a.b.png": "a.b",
        ".png": ".png",
        "x/ .png": "x/",
        "x/y .png": "x/y",
    }


def test_pattern_is_searched_in_the_whole_name() -> None:
    assert set(subjects_of(NAMES, pattern="p([0-9]+)_").values()) == {"7"}
    assert subjects_of(NAMES, pattern="^([a-z]+)/")["fake/a/p7_x.jpg"] == "fake"
    assert subjects_of(["a/x y .png"], pattern=r"/(.*)\.") == {"a/x y .png": "x y"}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("p[0-9]+", "has 0 groups"),
        ("(p)([0-9])", "has 2 groups"),
        ("(p", "is not a regular expression"),
        ("real/(p[0-9])", "gives no subject to 1 of 3 files; the first is 'fake/a/p7_x.jpg'"),
        ("p7_([0-9]*)", "gives no subject to 1 of 3 files"),
        ("p7_(2)?", "gives no subject to 2 of 3 files; the first is 'real/p7_1.png'"),
    ],
)
def test_bad_patterns(pattern: str, expected: str) -> None:
    with pytest.raises(CmflError, match=r"subject pattern") as caught:
        subjects_of(NAMES, pattern=pattern)
    assert expected in str(caught.value)


def put(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "who.csv"
    path.write_bytes(data)
    return path


def test_table(tmp_path: Path) -> None:
    rows = (
        "\ufefffilename,age,subject\r\n./real/p7_1.png,3, Ann \r\nreal/p7_2.png,4,Bob\r\nother.png,1,Bob\r\n"
    )
    table = put(tmp_path, rows.encode())
    assert subjects_of(NAMES[:2], table=table) == {NAMES[0]: "Ann", NAMES[1]: "Bob"}
    with pytest.raises(
        CmflError, match=r"who.csv gives no subject to 1 of 3 files; the first is 'fake/a/p7_x"
    ):
        subjects_of(NAMES, table=table)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "needs the columns filename and subject"),
        (b"filename,person\na.png,x\n", "needs the columns filename and subject"),
        (b"filename,subject\na.png,x\n\na.png,y\n", "line 4: 'a.png' has two subjects, 'x' and 'y'"),
        (b"filename,subject\na.png\n", "gives no subject to 1 of 1 files"),
        (b"filename,subject\na.png,\xff\n", "not UTF-8"),
    ],
)
def test_bad_tables(tmp_path: Path, data: bytes, expected: str) -> None:
    table = put(tmp_path, data)
    with pytest.raises(CmflError, match=r"who\.csv") as caught:
        subjects_of(["a.png"], table=table)
    assert expected in str(caught.value)


def test_other_faults(tmp_path: Path) -> None:
    with pytest.raises(CmflError, match=r"none\.csv cannot be read"):
        subjects_of(["a.png"], table=tmp_path / "none.csv")
    with pytest.raises(CmflError, match="give only one of them"):
        subjects_of(["a.png"], pattern="(a)", table=tmp_path / "none.csv")
