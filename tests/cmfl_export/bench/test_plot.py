"""The plot of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.bench import plot
from tests.cmfl_export.bench.reports import inference, training


def bars(figure: Figure) -> dict[str, list[float]]:
    """The lengths of the bars by contender, the network alone first."""
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    found: dict[str, list[float]] = {name: [] for name in names}
    for patch in axes.patches:
        assert isinstance(patch, Rectangle)
        found[names[round(patch.get_y() + patch.get_height() / 2)]].append(patch.get_width())
    return found


def test_a_bar_alone_and_one_for_the_whole_way() -> None:
    assert bars(plot.plot_of(inference())) == {
        "ONNX Runtime fp32": pytest.approx([10, 10]),
        "ONNX Runtime int8": pytest.approx([40, 40]),
        "OpenVINO int8": pytest.approx([50, 50]),
        "reference-style loop": pytest.approx([5]),
    }


def test_training_leaves_the_loader_alone_out() -> None:
    assert bars(plot.plot_of(training())) == {
        "training fp32": pytest.approx([2, 1.5]),
        "training bf16": pytest.approx([4, 4.1]),
        "plain eager fp32": pytest.approx([1.25]),
    }


@pytest.mark.parametrize("ending", plot.FORMATS)
def test_files(ending: str, tmp_path: Path) -> None:
    out = tmp_path / f"bench{ending}"
    plot.draw(inference(), out)
    assert out.stat().st_size > 1000
    assert list(tmp_path.iterdir()) == [out]
    if ending == ".png":
        with Image.open(out) as image:
            assert image.width > 1000


def test_another_ending_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(CmflError, match=r"must be one of \.png, \.svg, \.pdf"):
        plot.check(Path("bench.txt"))
