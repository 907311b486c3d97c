"""Standard streams that are closed, full, or without a reader; a disk that is full."""

from __future__ import annotations

import resource
import stat
import subprocess
from pathlib import Path

import pytest

from cmfl_export.predict import read_rows
from tests.cmfl_export.command import CMFL, ENVIRONMENT

FULL = Path("/dev/full")
has_full = pytest.mark.skipif(
    not (FULL.exists() and stat.S_ISCHR(FULL.stat().st_mode)), reason="this system has no /dev/full"
)


def shell(redirection: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", f'"$@" {redirection}', "bash", CMFL, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, check=False, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("redirection", ["2>&-", "<&- >&- 2>&-", pytest.param("2>/dev/full", marks=has_full)])
def test_predict_goes_on_without_standard_error(
    tiny: Path, faces: Path, tmp_path: Path, redirection: str
) -> None:
    out = tmp_path / "rows.csv"
    options = ("-o", out, "--provider", "cpu", "--progress")
    result = shell(redirection, "predict", tiny, faces / "a.png", *options)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert [row.p_real for row in read_rows(out)] == [pytest.approx(0.2)]
    assert len(out.read_bytes().splitlines()) == 2


@pytest.mark.parametrize(
    ("redirection", "why"),
    [(">&-", ""), pytest.param(">/dev/full", "No space left on device", marks=has_full)],
)
def test_standard_output_that_takes_nothing(tiny: Path, faces: Path, redirection: str, why: str) -> None:
    for arguments in (("show", tiny), ("--help",), ("predict", tiny, faces / "a.png", "--provider", "cpu")):
        result = shell(redirection, *arguments)
        assert result.returncode == 2
        (line,) = result.stderr.splitlines()
        assert "standard output" in line
        assert why in line


def test_an_error_without_a_place_to_say_it() -> None:
    assert shell("2>&-", "nope").returncode == 2


def test_a_reader_that_has_gone_changes_no_verdict(tiny: Path) -> None:
    result = shell("| true; exit ${PIPESTATUS[0]}", "show", tiny)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_full_disk_is_one_line_that_names_the_file(tiny: Path, faces: Path, tmp_path: Path) -> None:
    """Files cannot grow beyond a size, as on a disk that is full."""

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    many = [str(faces / "a.png")] * 200
    for name in ("rows.csv", "rows.json", "rows.parquet"):
        out = tmp_path / name
        result = subprocess.run(
            [CMFL, "predict", str(tiny), *many, "-o", str(out), "--provider", "onnxruntime"],
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            check=False,
            preexec_fn=small_disk,
        )
        assert result.returncode == 2, result
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"cmfl: cannot write {out}: ")
