"""Figures as files and as part of a page: text stays text, and the same figure is the same bytes anywhere."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.evaluate import plots
from cmfl_export.report.figures import line_of, short

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert(1)</script> & "x" \x07 ]]> $x^2$ -- url(#a) id="b"'

DRAW = """
import hashlib, sys
from cmfl_export.evaluate import plots
figure = plots.det([plots.Series("a", [0.9, 0.4, 0.6, 0.2], [1, 1, 0, 0], 0.5)])
print(hashlib.sha256(plots.svg(figure).encode()).hexdigest(), "matplotlib.pyplot" in sys.modules)
"""


def figure(name: str = "a") -> Figure:
    return plots.det([plots.Series(name, [0.9, 0.4, 0.6, 0.2], [1, 1, 0, 0], 0.5)])


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_both_files_whole(tmp_path: Path) -> None:
    one = figure()
    paths = plots.save(one, tmp_path / "new" / "det.v1")
    assert [path.name for path in paths] == ["det.v1.png", "det.v1.svg"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["det.v1.png", "det.v1.svg"]
    text = paths[1].read_text("utf-8")
    assert text.startswith("<?xml")
    assert text.endswith(plots.svg(one))
    with Image.open(paths[0]) as image:
        assert image.format == "PNG"
        assert 1000 < image.width < 1300
        pixels = np.asarray(image.convert("RGB"))
    # A margin all around: nothing is cut off, and something is there.
    for edge in (pixels[:5], pixels[-5:], pixels[:, :5], pixels[:, -5:]):
        assert (edge == 255).all()
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_target_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "det.png").mkdir()
    with pytest.raises(CmflError, match=r"cannot write .*det\.png"):
        plots.save(figure(), tmp_path / "det")


def test_text_is_text() -> None:
    found = texts(plots.svg(figure("my detector.onnx")))
    for expected in (
        "Detection error trade-off",
        "APCER (%)",
        "BPCER (%)",
        "D-EER 50.0 % · my detector.onnx",
        "20",
    ):
        assert expected in found


def test_same_bytes_in_every_process() -> None:
    """Whatever the order of sets, the time and the reader's settings; and without pyplot's global figures."""
    outcomes = {
        subprocess.run(
            [sys.executable, "-c", DRAW],
            env=os.environ | {"PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    here = hashlib.sha256(plots.svg(figure()).encode()).hexdigest()
    assert outcomes == {f"{here} False"}


def test_settings_of_the_reader_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = plots.svg(figure())
    settings: dict[str, Any] = {"font.size": 30.0, "svg.fonttype": "path", "axes.facecolor": "red"}
    for name, value in settings.items():
        monkeypatch.setitem(cast(dict[str, Any], matplotlib.rcParams), name, value)
    before = dict(matplotlib.rcParams)
    assert plots.svg(figure()) == expected
    assert dict(matplotlib.rcParams) == before


def test_rendering_again_changes_nothing(tmp_path: Path) -> None:
    one = figure()
    first = plots.svg(one)
    png = plots.save(one, tmp_path / "a")[0].read_bytes()
    assert plots.svg(one) == first
    assert plots.save(one, tmp_path / "b")[0].read_bytes() == png


def test_hostile_name_is_only_text() -> None:
    svg = plots.svg(figure(HOSTILE))
    label = next(text for text in texts(svg) if text.startswith("D-EER "))
    assert label == f"D-EER 50.0 % · {short(HOSTILE)}"
    assert "<script" not in svg


@pytest.mark.parametrize("name", ["日本語モデル", "_hidden", "a\udcffb", "", "\\frac{$"])
@pytest.mark.filterwarnings("error")
def test_any_name(name: str, tmp_path: Path) -> None:
    """None ends the drawing, is left out of the legend or puts a warning on the terminal."""
    _, svg = plots.save(figure(name), tmp_path / "det")
    assert f"D-EER 50.0 % · {short(name)}".strip() in [text.strip() for text in texts(svg.read_text("utf-8"))]


def test_figures_share_a_page() -> None:
    """No id is there twice, and every reference finds its own."""
    one, other = plots.svg(figure("a")), plots.svg(figure("b"))
    ids = re.findall(r' id="([^"]+)"', one + other)
    assert len(ids) > 50
    assert len(ids) == len(set(ids))
    for svg in (one, other):
        own = set(re.findall(r' id="([^"]+)"', svg))
        assert {*re.findall(r"url\(#([^)]+)\)", svg), *re.findall(r'href="#([^"]+)"', svg)} <= own


def test_page_part() -> None:
    svg = plots.svg(figure())
    root = ElementTree.fromstring(svg)
    assert svg.startswith("<svg ")
    assert root.get("role") == "img"
    assert root.get("aria-label") == "Detection error trade-off"
    # Nothing to load, and nothing of when or with what it was made.
    assert not re.search(r"https?://(?!www\.w3\.org/)|<metadata|<image", svg)


def test_title_in_the_label_is_escaped() -> None:
    series = plots.Series('"<&', [0.9, 0.1], [1, 0], 0.5)
    root = ElementTree.fromstring(plots.svg(plots.distributions(series, ["", "x"])))
    assert root.get("aria-label") == 'Scores of "<&'


def test_short_names() -> None:
    assert short("detector.onnx") == "detector.onnx"
    long = short("start" + 200 * "x" + "end.onnx")
    assert len(long) <= 54
    assert long.startswith("start")
    assert long.endswith("end.onnx")
    assert short("a\nb\x00\udcff") == "a\ufffdb\ufffd\ufffd"


def test_series_look_different() -> None:
    looks = [line_of(number) for number in range(36)]
    for key in ("color", "linestyle", "marker"):
        assert len({str(look[key]) for look in looks[:6]}) == 6
    assert len({str(look) for look in looks}) == 36
