"""Why a file of a protocol is not found: each cause by name, where the data are looked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.export.calibration_images import read
from protocols import Sample, describe_missing, missing_files, write_split
from protocols.check import check
from protocols.name_advice import NameAdvice


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "Real").mkdir(parents=True)
    for name in ("Real/1 a.png", "Real/\u00fc.png"):
        Image.new("RGB", (32, 32)).save(folder / name)
    return folder


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        (
            "Real\\1 a.png",
            ": the name has backslashes, which Windows writes between folders; write / instead",
        ),
        (
            "absent\\1.png",
            ": the name has backslashes, which Windows writes between folders; write / instead",
        ),
        ("real\\1 a.png", ": the name has backslashes, .*, and the file is 'Real/1 a.png'"),
        ("Real/1 a.png ", ": the name has blanks around it; remove them"),
        ("Real /1 a.png", ": the name has blanks around it; remove them"),
        ("Real/1%20a.png", ": the name is URL-encoded; write 'Real/1 a.png'"),
        ("real/1 A.PNG", ": the file's name differs in case; write 'Real/1 a.png'"),
        ("Real/u\u0308.png", ": its letters are composed in another way than those of the file"),
        ("data/Real/1 a.png", ": the name begins with 'data', the data root itself"),
        ("absent.png", "$"),
        ("Real/100%.png", "$"),
        ("Real/%ff.png", "$"),
        ("Real/1 a.png", "$"),
    ],
)
def test_cause(root: Path, name: str, cause: str) -> None:
    advice = NameAdvice(root).of(name)
    assert re.match(cause, advice), advice


def test_is_said_before_training_and_by_the_check(root: Path, tmp_path: Path) -> None:
    samples = [Sample("1", "Real\\1 a.png", ""), Sample("2", "Real/\u00fc.png", "gan")]
    missing = missing_files(samples, root)
    assert "not found: the name has backslashes" in describe_missing(missing, 2, root)
    write_split(samples, tmp_path / "dev.csv")
    report = check(tmp_path / "dev.csv", root, shortcuts=False, progress=False)
    assert "the name has backslashes" in report.problems[0].reason


def test_is_said_before_a_variant_is_made(root: Path, tmp_path: Path) -> None:
    samples = [Sample(str(n), f"Real\\{n}.png", "gan" if n % 2 else "") for n in range(40)]
    write_split(samples, tmp_path / "dev.csv")
    with pytest.raises(CmflError, match=r"at least 16 are needed .*the name has backslashes"):
        read(tmp_path / "dev.csv", root, aligned=True)
