"""No output takes the place of an input, of the model, of a list or of another output."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.base.files import check_ending, refuse_overwriting
from cmfl_export.evaluate.run import evaluate
from cmfl_export.images.outputs import refuse_inputs
from tests.cmfl_export.command import CMFL, ENVIRONMENT, cmfl, the_error


@pytest.fixture
def own(faces: Path, tiny: Path, tmp_path: Path) -> Path:
    """A folder with pictures of its own and a model."""
    shutil.copytree(faces, tmp_path / "photos")
    shutil.copy(tiny, tmp_path / "tiny.onnx")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def symbolic(folder: Path, picture: Path) -> Path:
    link = folder / "rows.csv"
    link.symlink_to(picture)
    return link


def hard(folder: Path, picture: Path) -> Path:
    link = folder / "rows.csv"
    link.hardlink_to(picture)
    return link


def itself(_folder: Path, picture: Path) -> Path:
    return picture


@pytest.mark.parametrize("make", [symbolic, hard, itself])
@pytest.mark.parametrize("name", ["a.png", "bad.jpg"])
@pytest.mark.parametrize("given", ["file", "folder", "pattern"])
def test_predict_leaves_its_inputs_alone(
    own: Path, make: Callable[[Path, Path], Path], name: str, given: str
) -> None:
    """Also one that no decoder knows, by another name, in a folder that is not listed."""
    picture = own / "photos" / name
    output = make(own, picture)
    before = contents(own)
    inputs = {"file": str(picture), "folder": str(own / "photos"), "pattern": f"{own}/pho*/*"}[given]
    line = the_error(cmfl("predict", own / "tiny.onnx", inputs, "-o", output, "--format", "csv"))
    assert str(output) in line
    assert contents(own) == before


@pytest.mark.parametrize("option", ["-o", "--report"])
@pytest.mark.parametrize("name", ["photos/a.png", "tiny.onnx", "photos/new.JPG"])
def test_predict_writes_only_what_is_called_so(own: Path, option: str, name: str) -> None:
    before = contents(own)
    the_error(cmfl("predict", own / "tiny.onnx", own / "photos", option, own / name))
    assert contents(own) == before


def test_predict_leaves_the_model_alone_by_another_name(own: Path) -> None:
    (own / "rows.csv").hardlink_to(own / "tiny.onnx")
    before = contents(own)
    line = the_error(cmfl("predict", own / "tiny.onnx", own / "photos", "-o", own / "rows.csv"))
    assert "rows.csv is the model, which would be overwritten" in line
    assert contents(own) == before


def test_the_list_on_standard_input_stays(own: Path) -> None:
    listed = own / "list.csv"
    listed.write_text(f"{own}/photos/a.png\n")
    with listed.open() as stream:
        result = subprocess.run(
            [CMFL, "predict", str(own / "tiny.onnx"), "-", "-o", str(listed)],
            stdin=stream,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            check=False,
        )
    assert "list.csv is the list on standard input, which would be overwritten" in the_error(result)
    assert listed.read_text() == f"{own}/photos/a.png\n"


def test_what_a_list_may_name_stays(own: Path) -> None:
    odd = own / "odd.csv"
    odd.write_bytes(b"no picture, and no rows")
    line = the_error(cmfl("predict", own / "tiny.onnx", "-", "-o", odd, text=f"{odd}\n"))
    assert "odd.csv exists and is no output of cmfl, so the list on standard input may name it" in line
    assert odd.read_bytes() == b"no picture, and no rows"


def test_rows_and_report_are_two_files(own: Path) -> None:
    line = the_error(
        cmfl(
            *("predict", own / "tiny.onnx", own / "photos", "-o", own / "x.html", "--format", "csv"),
            *("--report", own / "photos" / ".." / "X.html"),
        )
    )
    assert "are the same file; give each output its own name" in line


def test_explain_verify_calibrate_and_export(own: Path, tiny_data: tuple[Path, Path]) -> None:
    model, picture = own / "tiny.onnx", own / "photos" / "a.png"
    protocol, root = tiny_data
    alias = own / "alias.onnx"
    alias.hardlink_to(model)
    before = contents(own)
    for arguments in (
        ("explain", model, picture, "-o", picture),
        ("verify", model, own / "w.safetensors", picture, "-o", picture),
        ("verify", model, own / "w.safetensors", picture, "-o", own / "report.txt"),
        ("calibrate", model, "-o", alias, "--protocol", protocol, "--data-root", root),
        ("calibrate", model, "-o", own / "m.png", "--protocol", protocol, "--data-root", root),
        ("export", model, "-o", alias, "--precision", "fp16", "--calibration", own / "photos"),
        ("export", own / "w.safetensors", "-o", own / "model.jpg"),
        ("bench", model, "-o", own / "bench.json", "--plot", own / "bench.JSON"),
        ("bench", model, "-o", picture),
    ):
        the_error(cmfl(*arguments))
        assert contents(own) == before


def test_align_into_its_own_input(own: Path) -> None:
    before = contents(own)
    line = the_error(cmfl("align", own / "photos", "-o", own / "photos", "--provider", "cpu"))
    assert "the folder for the crops, which is not searched; name another folder" in line
    assert contents(own) == before


def test_evaluate_does_not_rewrite_the_score_file(own: Path) -> None:
    scores = own / "scores.csv"
    scores.write_text("0,1,a.png,0.9\n1,0,b.png,0.2\n")
    with pytest.raises(CmflError, match=r"scores\.csv is a score file, which would be overwritten"):
        evaluate([], own, scores=[scores])
    assert scores.read_text() == "0,1,a.png,0.9\n1,0,b.png,0.2\n"


def test_what_is_not_there_costs_no_look_at_the_inputs(tmp_path: Path) -> None:
    def never() -> object:
        raise AssertionError("an input was looked at")
        yield

    refuse_overwriting([tmp_path / "new.csv", None], never())  # type: ignore[arg-type]


def test_ordinary_outputs_pass(own: Path) -> None:
    rows = own / "photos" / "rows.csv"
    rows.write_text("path,p_real\n")
    refuse_inputs([rows, own / "r.html", None], [str(own / "photos"), "-"])
    check_ending(Path("/dev/null"), (".json",), "the report")
    with pytest.raises(CmflError, match="it is a folder"):
        check_ending(own, (".json",), "the report")
