"""The demo, smaller: every stage runs on the output of the one before."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.cli import demo_run as module
from cmfl_export.cli.demo_run import demo, starter, table
from cmfl_export.metrics.detection import d_eer
from cmfl_export.predict import read_rows
from cmfl_export.runtime.prediction import Prediction
from models_zoo.add import add
from tests.models_zoo.folders import model_folder
from training.demo_data import make_demo_data


def test_whole_job(zoo: Path, small_trunk: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "make_demo_data", partial(make_demo_data, train=4, dev=2, evaluation=4))
    out = tmp_path / "demo"
    lines = list(demo(out, progress=False))
    for name in ("run/best.safetensors", "detector.onnx", "scores.csv", "data/protocol/eval.csv"):
        assert (out / name).is_file()
    assert any(line.startswith("parity holds: 8 images") for line in lines)
    rows = list(read_rows(out / "scores.csv"))
    assert len(rows) == 8
    assert all(row.ok for row in rows)
    scores = [row.p_real for row in rows if row.p_real is not None]
    rate = d_eer(scores, ["/real/" in row.path for row in rows]).rate
    assert f"D-EER on the held-out images: {100 * rate:.1f} %" in lines
    assert lines[-1].startswith("no starter model is packaged")


def test_the_starter_scores_the_same_images(zoo: Path, tmp_path: Path) -> None:
    add(model_folder(tmp_path, "starter"))
    for kind, grey in (("real", 200), ("synthetic", 50)):
        (tmp_path / "eval" / kind).mkdir(parents=True)
        Image.new("RGB", (224, 224), (grey, grey, grey)).save(tmp_path / "eval" / kind / "0.png")
    labels = {str(tmp_path / "eval" / kind / "0.png"): kind == "real" for kind in ("real", "synthetic")}
    lines = list(starter(tmp_path / "eval", tmp_path / "starter.csv", labels))
    assert "scored with starter 1.0.0 (fp32), as no model was given" in lines
    assert lines[-1].startswith("D-EER of the starter on them: 0.0 %")
    assert len(list(read_rows(tmp_path / "starter.csv"))) == 2


def test_never_into_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(CmflError, match="not an empty folder"):
        next(demo(tmp_path))


def test_table_says_what_is_true_and_what_was_decided() -> None:
    rows = [
        Prediction("a/real/0.png", 0.75, 0.5, 0.25, "real"),
        Prediction("a/synthetic/0.png", 0.6, 0.5, 0.9, "real"),
    ]
    _, first, second = table(rows, {"a/real/0.png": True, "a/synthetic/0.png": False})
    assert first.split() == ["real/0.png", "real", "0.750", "0.500", "0.250", "real"]
    assert second.split() == ["synthetic/0.png", "synthetic", "0.600", "0.500", "0.900", "real"]
