"""What a hostile command line is told: one line that names the cause, and exit code 2; in one process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from cmfl_export import cli
from cmfl_export.base import interrupts
from protocols import Sample, write_split


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A folder with a model `m.onnx`, a protocol `p` over the images in `faces`, and things of no use."""
    folder = tmp_path_factory.mktemp("said")
    (folder / "m.onnx").write_bytes(tiny.read_bytes())
    (folder / "faces").mkdir()
    (folder / "hollow").mkdir()
    (folder / "zero").touch()
    (folder / "bytes.csv").write_bytes(bytes(range(256)))
    samples = []
    for number in range(4):
        for attack in ("", "gan"):
            name = f"faces/{attack or 'real'}{number}.png"
            grey = 20 * number + (100 if attack else 0)
            Image.new("RGB", (224, 224), (grey, grey, grey)).save(folder / name)
            samples.append(Sample(f"{attack}{number}", name, attack))
    write_split(samples, folder / "p" / "dev.csv")
    write_split(samples, folder / "e" / "eval.csv")
    return folder


def said(
    arguments: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """The one line of a command that is refused; `<>` in the arguments is an empty one."""
    monkeypatch.chdir(place)
    words = ["" if word == "<>" else word for word in arguments.split()]
    monkeypatch.setattr(sys, "argv", ["cmfl", *words])
    monkeypatch.setattr(interrupts, "install", lambda: None)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    assert caught.value.code == 2, err
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("cmfl: ")
    assert "internal error" not in line
    return line


EVALUATE = "evaluate m.onnx --protocol e --data-root . -o out --provider onnxruntime"
CALIBRATE = "calibrate m.onnx --protocol p --data-root . -o c.onnx --provider onnxruntime"
FP16 = "export m.onnx -o v.onnx --precision fp16 --calibration faces"
TRAIN = "train --protocol p --data-root . -o run"
CHECK = "protocol check p --data-root . --no-progress"
BUILD = "protocol build -o q --data-root . --real faces"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("align faces -o crops --provider npu", "'npu' is not one of 'auto', 'cpu'"),
        ("align faces -o crops --max-pixels 0", "Invalid value for '--max-pixels'"),
        ("align faces -o crops --format gif", "'gif' is not one of 'png', 'jpg'"),
        ("align hollow -o crops", "no images found in hollow"),
        ("predict m.onnx faces --threads 99999999999999999999", "'--threads'"),
        ("predict m.onnx faces --workers 99999999999999999999", "'--workers'"),
        ("predict m.onnx faces --threshold nan", "the threshold must be within 0 and 1, not nan"),
        ("predict --model zero faces", "zero is not an ONNX file, or is damaged"),
        ("predict m.onnx hollow", "no images found in hollow"),
        ("explain m.onnx faces -o e.png", "has no heatmap and no spectrum"),
        ("explain m.onnx faces -o e.gif", "the ending of e.gif must be one of .png, .svg, .pdf"),
        ("show hollow", "hollow is a folder, not a model"),
        (f"{EVALUATE} --seed -1", "the seed must be at least 0, not -1"),
        (f"{EVALUATE} --samples 0", "at least 1 resample"),
        (f"{EVALUATE} --samples 99999999999999999999", "1,000,000 resamples at most"),
        (f"{EVALUATE} --threshold inf", "the threshold must be within 0 and 1"),
        (f"{EVALUATE} --degrade jpeg:nan", "jpeg"),
        (f"{EVALUATE} --split train", "e has no split 'train'; it has: eval"),
        (f"{EVALUATE} --scores absent.csv", "cannot read absent.csv: No such file or directory"),
        (f"{EVALUATE} --scores hollow", "hollow is a folder, not a score file"),
        (f"{EVALUATE} --scores zero", "zero: no scores in it"),
        (f"{EVALUATE} --scores bytes.csv", "bytes.csv, line 1: not a text file"),
        ("evaluate -o out", "nothing to evaluate"),
        ("evaluate m.onnx --protocol e --data-root zero -o out", "the data root zero is not a folder"),
        (f"{CALIBRATE} --at apcer:nan", "cannot choose a threshold at 'apcer:nan'"),
        (f"{CALIBRATE} --split <>", "p has no split ''"),
        ("calibrate m.onnx --protocol bytes.csv --data-root . -o c.onnx", "bytes.csv, line"),
        (f"{FP16} --max-flips nan", "max flips is nan; it must be from 0 to 100"),
        (f"{FP16} --max-flips -1", "max flips is -1; it must be from 0 to 100"),
        (f"{FP16} --max-d-eer-change inf", "max D-EER change is inf; it must be from 0 to 100"),
        (f"{FP16} --data-root absent", "the data root absent is not a folder"),
        ("export zero -o m2.onnx --threshold nan", "the threshold is nan"),
        (f"{CHECK} --seed -1", "seed must be at least 0, not -1"),
        (f"{CHECK} --workers 0", "workers must be at least 1, not 0"),
        (f"{CHECK} --limit 3", "a limit of 3 is too low"),
        ("protocol check hollow --data-root .", "hollow has none of train.csv, dev.csv and eval.csv"),
        ("protocol check zero --data-root .", "zero: empty; it needs the header"),
        (f"{BUILD} --attack x", "--attack 'x' must be NAME=DIR"),
        (f"{BUILD} --attack x=faces --shares nan,nan,nan", "the shares nan/nan/nan must be three numbers"),
        (f"{BUILD} --attack x=faces", "faces/gan0.png is given as real and 'x'"),
        (f"{TRAIN} --lr -1", "lr is -1.0"),
        (f"{TRAIN} --architecture three_stream", "'three_stream' is not one of 'two_stream', 'one_stream'"),
        ("train -o run --resume", "holds no run to resume"),
        (
            "simulate faces sim --strength 1e20",
            "the strength is 1e+20; it must be greater than 0 and at most",
        ),
        ("simulate faces sim --quality 0", "a JPEG quality is 1 to 100, not 0"),
        ("simulate hollow sim", "hollow: no image in it"),
        ("bench m.onnx --seconds inf", "seconds must be more than 0 and at most 86,400, not inf"),
        ("bench m.onnx --batch-sizes nan", "batch sizes are numbers separated by commas"),
        ("zoo show absent", "absent: no such model"),
        ("zoo describe zero", "zero is not a folder"),
        ("protocol nope", "No such command 'nope' (see: cmfl protocol --help)"),
    ],
)
def test_one_line_and_exit_code_two(
    arguments: str,
    message: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert message in said(arguments, place, monkeypatch, capsys)


@pytest.mark.parametrize("group", ["protocol", "zoo"])
def test_a_group_alone_shows_its_help(
    group: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["cmfl", group])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    assert (caught.value.code or 0, err) == (0, "")
    assert out.startswith(f"Usage: cmfl {group} ")


@pytest.mark.parametrize("command", ["calibrate m.onnx -o c.onnx", "evaluate m.onnx -o out"])
def test_backslashes_are_the_cause(
    command: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = place / "windows.csv"
    table.write_text("subject,filename,attack_type\ns,faces\\real0.png,\nt,faces\\gan0.png,gan\n")
    options = "--protocol windows.csv --data-root . --provider onnxruntime"
    line = said(f"{command} {options}", place, monkeypatch, capsys)
    assert "the name has backslashes, which Windows writes between folders; write / instead" in line
