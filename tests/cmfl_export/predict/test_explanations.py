"""The figure that explains one score."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.detector import Detector
from cmfl_export.predict import explanations as module
from cmfl_export.predict.explanations import Explanation, explain
from tests.cmfl_export import pictured_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictured_model.write(tmp_path_factory.mktemp("model") / "pictured.onnx")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark red with a bright field in the upper right, where the stand-in's heatmap then has its peak."""
    pixels = np.full((224, 224, 3), (50, 0, 0), np.uint8)
    pixels[16:32, 192:208] = 200
    path = tmp_path_factory.mktemp("image") / "a $x$.png"
    Image.fromarray(pixels).save(path)
    return path


def test_what_is_said_of_an_image(model: Path, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "sub" / "figure.png"
    found = explain(model, image, out, provider="cpu")
    expected = Detector(model, provider="cpu").predict(image)
    assert (found.p_real, found.p_real_rgb) == (expected.p_real, expected.p_real_rgb)
    assert found.p_real_spectrum == expected.p_real_spectrum
    assert (found.image, found.out, found.decision) == (str(image), str(out), "synthetic")
    with Image.open(out) as picture:
        assert picture.size > (1500, 900)
        picture.load()
    assert explain(model, image, out, provider="cpu", threshold=0.01).decision == "real"


def test_the_figure_shows_image_spectrum_heatmaps_scores_and_facts(model: Path, image: Path) -> None:
    detector = Detector(model, provider="cpu", threshold=0.25)
    row = detector.predict(image, extras=True)
    figure = module._draw(row, detector, model)
    text = " ".join(one.get_text() for one in figure.findobj(Text) if isinstance(one, Text))
    assert row.p_real_rgb is not None
    for part in ("a $x$.png", "Decision: synthetic", f"{row.p_real_rgb:.3f}", "threshold 0.25", "Model tiny"):
        assert part in text
    assert re.search(r"\b[0-9a-f]{64}\b", text)
    assert "evidence and not proof" in " ".join(text.split())
    shown = [np.asarray(one.get_array()) for axes in figure.axes for one in axes.get_images()]
    alone, heated, spectrum, heated_spectrum = (
        pixels.astype(int) for pixels in shown if pixels.shape == (224, 224, 3)
    )
    assert (alone == row.extras["image"]).all()
    # Dark places have a low level of the peak, and so keep nearly their colour.
    assert np.abs(heated - alone)[16:32, 192:208].mean() > 40
    assert np.abs(heated - alone)[100:].mean() < 10
    assert (spectrum[..., 0] == spectrum[..., 1]).all()
    assert np.abs(heated_spectrum - spectrum)[16:32, 192:208].mean() > 40


@pytest.mark.parametrize("suffix", [".png", ".svg", ".PDF"])
def test_the_same_image_gives_the_same_file(model: Path, image: Path, tmp_path: Path, suffix: str) -> None:
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        explain(model, image, file, provider="cpu")
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert len(first) > 10_000
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize(
    ("spectra", "outputs"), [("rgb", ["heatmap_rgb"]), ("fft", ["heatmap_spectrum", "spectrum"])]
)
def test_one_stream_models(image: Path, tmp_path: Path, spectra: str, outputs: list[str]) -> None:
    model = pictured_model.write(
        tmp_path / "m.onnx", ["p_real"], outputs, architecture="one_stream", spectra=spectra
    )
    found = explain(model, image, tmp_path / "a.png", provider="cpu")
    assert (found.p_real_rgb, found.p_real_spectrum) == (None, None)
    assert [line.split()[0] for line in found.lines()] == ["p_real", "threshold", "geometry", "synthetic;"]
    row = Detector(model, provider="cpu").predict(image, extras=True)
    assert len(module._pictures(row)) == 1 + len(outputs)


@pytest.mark.parametrize("name", ["李 $\\frac$ ^_.png", "\u202e\udcff.png", "x" * 240 + ".png"])
def test_any_name_can_be_drawn(
    model: Path, image: Path, tmp_path: Path, name: str, recwarn: pytest.WarningsRecorder
) -> None:
    (tmp_path / name).write_bytes(image.read_bytes())
    explain(model, tmp_path / name, tmp_path / "figure.svg", provider="cpu")
    assert not recwarn.list


def test_a_model_without_heatmaps_says_what_to_export(tiny: Path, image: Path, tmp_path: Path) -> None:
    with pytest.raises(
        CmflError, match=r"no heatmap and no spectrum among its outputs; .* --outputs heatmap,spectrum$"
    ):
        explain(tiny, image, tmp_path / "a.png", provider="cpu")
    assert list(tmp_path.iterdir()) == []


def test_wrong_inputs_are_one_line(model: Path, faces: Path, tmp_path: Path) -> None:
    for image, out, message in (
        (faces / "bad.jpg", "a.png", r"bad.jpg cannot be scored: .* \(not_an_image\)$"),
        (faces / "none.jpg", "a.png", r"none.jpg cannot be scored: .* \(not_found\)$"),
        (faces / "a.png", "a.webp", r"must be one of .png, .svg, .pdf$"),
    ):
        with pytest.raises(CmflError, match=message):
            explain(model, image, tmp_path / out, provider="cpu")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_extra_is_named(
    model: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(CmflError, match=r"cmfl-export\[evaluate\]"):
        explain(model, image, tmp_path / "a.png", provider="cpu")


def test_the_lines_are_aligned() -> None:
    lines = Explanation("a.png", "f.png", 0.25, 0.5, 1.0, 0.5, "synthetic").lines()
    assert lines == [
        "p_real           0.2500",
        "p_real_rgb       0.5000",
        "p_real_spectrum  1.0000",
        "threshold        0.5000",
        "synthetic; figure in f.png",
    ]
