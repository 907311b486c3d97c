"""predict_to: one row an input, in order, through interruptions of every kind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.detector import Detector
from cmfl_export.predict import clips, read_rows, run
from cmfl_export.predict.run import predict_to
from cmfl_export.runtime.prediction import Prediction
from tests.cmfl_export import tiny_model

RUN = """
import sys
from cmfl_export.predict import predict_to
model, output, *inputs = sys.argv[1:]
predict_to(model, inputs, output if output != "-" else None, resume=output != "-",
           provider="cpu", threads=1, batch_size=2)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures from dark to bright, of which two are not pictures, and one in a subfolder."""
    folder = tmp_path_factory.mktemp("faces")
    (folder / "sub").mkdir()
    for number in range(4):
        name = f"{number}, with comma.png" if number < 3 else "sub/3.png"
        Image.new("RGB", (224, 224), (60 * number, 40 * number, 70 * number)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "empty.jpg").touch()
    return folder


@pytest.fixture
def inputs(folder: Path) -> list[str]:
    """Paths with repetitions and failures between them."""
    names = ["0, with comma.png", "broken.png", "sub/3.png", "absent.png", "2, with comma.png", "empty.jpg"]
    return [str(folder / name) for name in names * 8]


def paths_in(output: Path) -> list[str]:
    return [row.path for row in read_rows(output)]


def test_rows_are_those_of_the_detector(model: Path, inputs: list[str], tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    summary = predict_to(model, inputs, output, provider="cpu", batch_size=3)
    rows = list(read_rows(output))
    assert [row.path for row in rows] == inputs
    expected = Detector(model, provider="cpu").predict(list(inputs))
    for row, scored in zip(rows, expected, strict=True):
        assert (row.status, row.decision, row.error) == (scored.status, scored.decision, scored.error)
        assert row.p_real == pytest.approx(scored.p_real, abs=1e-7)
    assert (summary.n, summary.real, summary.synthetic) == (48, 8, 16)
    assert summary.failed == {"not_an_image": 8, "not_found": 8, "empty": 8}
    assert (summary.provider, summary.skipped) == ("cpu", 0)
    assert summary.images_per_second == pytest.approx(48 / summary.seconds)


def test_folders_are_walked_when_asked_for(model: Path, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    assert predict_to(model, [str(folder)], output, provider="cpu").n == 6
    assert str(folder / "sub" / "3.png") in paths_in(output)
    assert predict_to(model, [str(folder)], output, provider="cpu", recursive=False).n == 5


def test_options_reach_the_detector(model: Path, folder: Path, tmp_path: Path) -> None:
    file = [str(folder / "sub" / "3.png")]
    assert predict_to(model, file, tmp_path / "a.csv", provider="cpu", threshold=0.99).synthetic == 1
    assert predict_to(model, file, tmp_path / "b.csv", provider="cpu", max_pixels=10).failed == {
        "too_large": 1
    }


@pytest.mark.parametrize("output", [None, "-"])
def test_rows_go_to_standard_output_and_nothing_else_does(
    output: str | None,
    model: Path,
    inputs: list[str],
    capfdbinary: pytest.CaptureFixture[bytes],
    tmp_path: Path,
) -> None:
    predict_to(model, inputs, output, provider="cpu")
    printed = capfdbinary.readouterr()
    predict_to(model, inputs, tmp_path / "rows.csv", provider="cpu")
    assert printed.out == (tmp_path / "rows.csv").read_bytes()
    assert printed.err == b""


def test_a_progress_bar_is_on_standard_error(
    model: Path, inputs: list[str], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    predict_to(model, inputs, tmp_path / "rows.csv", provider="cpu", progress=True)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "48/" in printed.err
    assert "img/s" in printed.err


@pytest.mark.parametrize("arguments", [[], ["EMPTY"]])
def test_no_inputs_are_an_error_that_leaves_the_output_alone(
    model: Path, tmp_path: Path, arguments: list[str]
) -> None:
    empty, output = tmp_path / "empty", tmp_path / "rows.csv"
    empty.mkdir()
    output.write_text("kept")
    with pytest.raises(CmflError, match="no images found in"):
        predict_to(model, [str(empty) for _ in arguments], output, provider="cpu")
    assert output.read_text() == "kept"


def test_a_bad_model_leaves_the_output_alone(inputs: list[str], tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    output.write_text("kept")
    with pytest.raises(CmflError, match="not an ONNX file"):
        predict_to(inputs[0], inputs, output, provider="cpu")
    assert output.read_text() == "kept"


def test_resume_after_kill_loses_and_repeats_no_row(inputs: list[str], tmp_path: Path) -> None:
    slow = tiny_model.write(tmp_path / "slow.onnx", burden=6)
    inputs = inputs * 3
    whole, output = tmp_path / "whole.csv", tmp_path / "rows.csv"
    predict_to(slow, inputs, whole, provider="cpu", batch_size=2)
    rows = whole.read_bytes().count(b"\n")
    for goal in (5, 15, 30):
        process = subprocess.Popen([sys.executable, "-c", RUN, str(slow), str(output), *inputs])
        while not output.exists() or output.read_bytes().count(b"\n") < goal:
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert goal <= output.read_bytes().count(b"\n") < rows
    os.truncate(output, output.stat().st_size - 3)
    left = rows - output.read_bytes().count(b"\n")
    summary = predict_to(slow, inputs, output, provider="cpu", batch_size=2, resume=True)
    assert output.read_bytes() == whole.read_bytes()
    assert (summary.n, summary.skipped) == (left, len(inputs) - left)
    again = predict_to(slow, inputs, output, provider="cpu", resume=True)
    assert (again.n, again.skipped) == (0, len(inputs))
    assert output.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), CmflError("GPU lost")])
def test_an_interruption_leaves_the_rows_so_far(
    model: Path,
    inputs: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interruption: BaseException,
) -> None:
    def some(self: Detector, pictures: Iterator[Any], *, extras: bool = False) -> Iterator[Prediction]:
        for _ in range(5):
            yield Prediction(next(pictures), 0.5, decision="real")
        raise interruption

    monkeypatch.setattr(Detector, "stream", some)
    for name in ("rows.csv", "rows.json"):
        with pytest.raises(type(interruption)):
            predict_to(model, inputs, tmp_path / name, provider="cpu")
    assert paths_in(tmp_path / "rows.csv") == inputs[:5]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "rows.csv.setup.json"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_ends_the_run_quietly(model: Path, folder: Path, unbuffered: str) -> None:
    """Also where Python buffers standard output, and so flushes it once more at exit."""
    many = [str(folder / "sub" / "3.png")] * 1500
    command = [sys.executable, "-c", RUN, str(model), "-", *many]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"path,")
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_paths_from_standard_input(model: Path, inputs: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(model), str(tmp_path / "rows.csv"), "-"]
    subprocess.run(command, input="\n".join(inputs), text=True, check=True)
    assert paths_in(tmp_path / "rows.csv") == inputs


def test_many_inputs_pass_through_in_bounded_memory(
    model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more inputs are taken than the pipeline's window, however many there are."""
    pulled, written, furthest = 0, 0, 0
    name = str(folder / "sub" / "3.png")

    def endless(*_: Any, **__: Any) -> Iterator[str]:
        nonlocal pulled
        for _number in range(400):
            pulled += 1
            yield name

    class Advance:
        def __enter__(self) -> Any:
            return self.advance

        def __exit__(self, *_: object) -> None:
            pass

        def advance(self, skipped: int) -> None:
            nonlocal written, furthest
            written += 1
            furthest = max(furthest, pulled - written)

    monkeypatch.setattr(clips, "paths_of", endless)
    monkeypatch.setattr(run, "_bar", lambda *_: Advance())
    predict_to(model, [], tmp_path / "rows.csv", provider="cpu", batch_size=4, workers=2)
    assert written == 400
    assert furthest <= 2 * 4 + 2 * 4 + 2
