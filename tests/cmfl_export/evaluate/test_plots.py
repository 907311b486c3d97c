"""Plots: what is drawn is what the metrics say, and no text hides another."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import combinations
from statistics import NormalDist
from typing import Any, cast

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from cmfl_export import metrics
from cmfl_export.base.errors import CmflError
from cmfl_export.evaluate import plots
from cmfl_export.metrics.intervals import wilson

LONG = "densenet161-two-stream-multi-cmfl-stylegan3-r-aligned-trunc1-ffhq-epoch-025-best.onnx"
deviate = np.vectorize(NormalDist().inv_cdf)


def series(
    name: str = "detector.onnx", apart: float = 1.0, size: int = 400, threshold: float = 0.5
) -> plots.Series:
    rng = np.random.default_rng(size)
    is_real = np.arange(size) < size // 2
    p_real = 1 / (1 + np.exp(-rng.normal(np.where(is_real, apart, -apart))))
    return plots.Series(name, p_real, is_real, threshold)


def six() -> list[plots.Series]:
    names = ["a.onnx", LONG, "_$x^2$ <b>&", "C:\\models\\b\nc", "W" * 80, "x"]
    return [
        series(name, apart, threshold=0.2 * apart)
        for name, apart in zip(names, (0.1, 1, 2, 4, 3, 0.5), strict=True)
    ]


def curves(names: list[str]) -> dict[str, dict[str, list[tuple[str, float, float, float, float]]]]:
    strengths = {
        "jpeg": ["none", "95", "75", "50", "30"],
        "resize": ["none", "0.5", "0.25"],
        "webp": ["none", "80"],
    }
    return {
        family: {
            name: [
                (label, 0.1 + 0.05 * at, 0.1 + 0.08 * at, 0.08 + 0.05 * at, 0.13 + 0.05 * at)
                for at, label in enumerate(labels)
            ]
            for name in names
        }
        for family, labels in strengths.items()
    }


def many_types() -> tuple[plots.Series, np.ndarray]:
    """1,000 real images and eleven generators, generator-10 the worst."""
    kind = np.arange(2000) % 11
    p_real = np.where(np.arange(2000) < 1000, 0.8, 0.05 + 0.09 * kind + 0.04 * (np.arange(2000) % 7))
    types = np.where(np.arange(2000) < 1000, "", np.char.add("generator-", kind.astype(str)))
    return plots.Series(LONG, p_real.clip(0, 1), np.arange(2000) < 1000, 0.5), types


PERFECT = plots.Series("perfect", [0.8, 0.9, 0.1, 0.2], [1, 1, 0, 0], 0.5)
REVERSED = plots.Series("reversed", [0.8, 0.9, 0.1, 0.2], [0, 0, 1, 1], 0.5)
THREE = plots.Series("three", [0.9, 0.4, 0.3], [1, 0, 1], 0.5)


def line(axes: Axes, colour: str = "#0072b2") -> np.ndarray:
    """[2, points] of the series that is drawn in a colour."""
    found = [
        one for one in axes.lines if same_color(one.get_color(), colour) and one.get_linestyle() != "None"
    ]
    assert len(found) == 1
    return np.array(found[0].get_data(), float)


def marks(axes: Axes, marker: str) -> list[tuple[float, float]]:
    return [
        (float(np.asarray(one.get_xdata())[0]), float(np.asarray(one.get_ydata())[0]))
        for one in axes.lines
        if one.get_marker() == marker and one.get_linestyle() == "None"
    ]


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_det_is_drawn_in_normal_deviates() -> None:
    one = series(size=60, apart=0.6)
    axes = plots.det([one]).axes[0]
    curve = metrics.det(one.p_real, one.is_real)
    inner = (curve.apcer * curve.bpcer > 0) & (curve.apcer < 1) & (curve.bpcer < 1)
    x, y = line(axes)
    drawn = {(round(a, 9), round(b, 9)) for a, b in zip(x.tolist(), y.tolist(), strict=True)}
    expected = zip(deviate(curve.apcer[inner]).tolist(), deviate(curve.bpcer[inner]).tolist(), strict=True)
    assert inner.sum() > 20
    assert {(round(a, 9), round(b, 9)) for a, b in expected} <= drawn
    # Rates of 0 are at the end of the axis, apart from the smallest other one, 1/30.
    assert x.min() == y.min() < deviate(1 / 30) - 0.1
    assert x.min() > axes.get_xlim()[0]


def test_det_marks_and_legend() -> None:
    one = series(size=300, threshold=0.7)
    figure = plots.det([one])
    axes = figure.axes[0]
    rate = metrics.d_eer(one.p_real, one.is_real).rate
    at = [metric(one.p_real, one.is_real, 0.7) for metric in (metrics.apcer, metrics.bpcer)]
    assert marks(axes, "o") == [pytest.approx(tuple(deviate([rate, rate])))]
    assert marks(axes, "s") == [pytest.approx(tuple(deviate(at)))]
    assert legend_of(figure) == [
        f"D-EER {100 * rate:.1f} % · detector.onnx",
        "D-EER",
        "at the detector's threshold",
    ]


@pytest.mark.parametrize("size", [4, 60, 1000, 20_000])
def test_no_rate_but_zero_is_at_the_end_of_a_det_axis(size: int) -> None:
    x, y = line(plots.det([series(size=size)]).axes[0])
    assert sorted(set(x.tolist()))[1] == pytest.approx(deviate(2 / size))
    assert x.min() < deviate(2 / size) - 0.1
    assert y.min() == x.min()


@pytest.mark.parametrize(
    "shown", [[series()], [PERFECT], [REVERSED], [THREE], six()], ids=lambda shown: shown[0].name
)
def test_det_ticks_are_where_they_say(shown: list[plots.Series]) -> None:
    axes = plots.det(shown).axes[0]
    assert axes.get_xlim() == axes.get_ylim()
    for axis in (axes.xaxis, axes.yaxis):
        found = dict(
            zip([label.get_text() for label in axis.get_ticklabels()], axis.get_ticklocs(), strict=True)
        )
        ends = {"0": found.pop("0"), "100": found.pop("100", np.inf)}
        assert len(found) >= 4
        for label, place in found.items():
            assert NormalDist().cdf(place) == pytest.approx(float(label) / 100)
            assert ends["0"] < place < ends["100"]


def test_det_of_the_extremes() -> None:
    """No error, and nothing but errors: the marks are at the ends called 0 and 100."""
    for one, label in ((PERFECT, "0"), (REVERSED, "100")):
        axes = plots.det([one]).axes[0]
        ticks = dict(
            zip([text.get_text() for text in axes.get_xticklabels()], axes.get_xticks(), strict=True)
        )
        assert marks(axes, "o") == marks(axes, "s") == [pytest.approx((ticks[label], ticks[label]))]


def test_roc_is_what_the_metric_says() -> None:
    one = series(size=80, threshold=0.4)
    figure = plots.roc([one])
    curve = metrics.roc(one.p_real, one.is_real)
    assert line(figure.axes[0]) == pytest.approx(np.array([100 * curve.fpr, 100 * curve.tpr]))
    at = [
        100 * metrics.apcer(one.p_real, one.is_real, 0.4),
        100 - 100 * metrics.bpcer(one.p_real, one.is_real, 0.4),
    ]
    assert marks(figure.axes[0], "s") == [pytest.approx(tuple(at))]
    assert legend_of(figure)[0] == f"AUC {metrics.auc(one.p_real, one.is_real):.3f} · detector.onnx"


def test_long_curves_are_thinned_without_a_visible_change() -> None:
    one = series(size=200_000)
    curve = metrics.roc(one.p_real, one.is_real)
    x, y = line(plots.roc([one]).axes[0])
    assert x.size < 8_000
    # Along x + y, which rises with every step, steep parts are compared as well as flat ones.
    along, across = 100 * (curve.fpr + curve.tpr), 100 * (curve.tpr - curve.fpr)
    assert np.abs(np.interp(along, x + y, y - x) - across).max() < 0.08
    assert line(plots.det([one]).axes[0]).shape[1] < 8_000


def test_distributions_add_up() -> None:
    one, types = many_types()
    figure = plots.distributions(one, types)
    assert len(figure.axes) == 8
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0] == "Real · n = 1,000 · BPCER 0.0 %"
    worst = metrics.apcer_by_attack(one.p_real, one.is_real, types, 0.5)
    for title, (name, rate) in zip(titles[1:7], worst.items(), strict=False):
        assert title == f"{name} · n = {(types == name).sum()} · APCER {100 * rate:.1f} %"
    assert titles[7].startswith("5 other attack types · n = ")
    for number, axes in enumerate(figure.axes):
        right, wrong = (sum(bar.get_height() for bar in bars) for bars in axes.containers)
        assert right + wrong == pytest.approx(100)
        if 0 < number < 7:
            assert wrong == pytest.approx(100 * list(worst.values())[number - 1])
        assert np.asarray(axes.lines[0].get_xdata())[0] == 0.5
        bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
        assert len(bars) == len(axes.patches) > 0
        assert axes.get_ylim()[1] > max(bar.get_y() + bar.get_height() for bar in bars)


def test_eight_attack_types_have_no_row_of_one_other() -> None:
    one, types = many_types()
    types = np.where(np.isin(types, ["generator-8", "generator-9", "generator-10"]), "generator-7", types)
    assert len(plots.distributions(one, types).axes) == 8
    types = np.where(types == "generator-6", "generator-7", types)
    titles = [axes.get_title(loc="left") for axes in plots.distributions(one, types).axes]
    assert len(titles) == 8
    assert not any("other" in title for title in titles)


def test_reliability_is_what_the_metric_says() -> None:
    one = series(size=500)
    figure = plots.reliability([one])
    above, below = figure.axes
    bins = metrics.reliability(one.p_real, one.is_real)
    filled = bins.count > 0
    assert line(above) == pytest.approx(np.array([bins.mean_score[filled], 100 * bins.share_real[filled]]))
    steps = below.patches[0]
    assert isinstance(steps, StepPatch)
    assert steps.get_data()[0].tolist() == bins.count.tolist()
    bounds = [
        wilson(round(s * n), int(n))[1:]
        for s, n in zip(bins.share_real[filled], bins.count[filled], strict=True)
    ]
    errors = above.collections[0]
    assert isinstance(errors, LineCollection)
    drawn = [segment[:, 1] / 100 for segment in errors.get_segments()]
    assert np.array(drawn) == pytest.approx(np.array(bounds))
    assert legend_of(figure) == [f"ECE {metrics.ece(one.p_real, one.is_real):.3f} · detector.onnx"]
    assert not plots.reliability(six()).axes[0].collections


def test_degradations_are_what_was_given() -> None:
    given = curves(["a", "b"])
    given["resize"].pop("b")
    figure = plots.degradations(given)
    assert len(figure.axes) == 6
    for row, (family, by_name) in enumerate(given.items()):
        for column, value in ((0, 1), (1, 2)):
            axes = figure.axes[2 * row + column]
            assert axes.get_xlabel() == family
            assert [text.get_text() for text in axes.get_xticklabels()] == [
                point[0] for point in by_name["a"]
            ]
            for name, colour in (("a", "#0072b2"), ("b", "#d55e00")):
                if name in by_name:
                    assert line(axes, colour)[1] == pytest.approx(
                        [100 * point[value] for point in by_name[name]]
                    )
    band = np.asarray(figure.axes[0].collections[0].get_paths()[0].vertices)
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((8, 33))
    assert legend_of(figure) == ["a", "b"]


FIGURES: dict[str, Callable[[], Figure]] = {
    "det of one": lambda: plots.det([series()]),
    "det of six": lambda: plots.det(six()),
    "det of three samples": lambda: plots.det([THREE]),
    "det reversed": lambda: plots.det([REVERSED]),
    "roc of six": lambda: plots.roc(six()),
    "distributions of three samples": lambda: plots.distributions(THREE, ["", "x", ""]),
    "distributions of many types": lambda: plots.distributions(*many_types()),
    "reliability of six": lambda: plots.reliability(six()),
    "reliability of three samples": lambda: plots.reliability([THREE]),
    "degradations": lambda: plots.degradations(curves(["a", LONG])),
    "no error under degradation": lambda: plots.degradations({"blur": {"a": [("1", 0.0, 0.0, 0.0, 0.0)]}}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_hides_another_or_is_cut_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = FIGURES[name]()
    renderer: RendererAgg = cast(Any, FigureCanvasAgg(figure)).get_renderer()
    boxes: list[tuple[str, Bbox]] = []

    def record(
        gc: object, x: float, y: float, words: str, *rest: object, mtext: Text, **more: object
    ) -> None:
        boxes.append((words, mtext.get_window_extent(renderer)))

    monkeypatch.setattr(renderer, "draw_text", record)
    figure.draw(renderer)
    assert len(boxes) > 5
    assert not any("mathdefault" in words for words, _ in boxes)
    for (one, its_box), (other, other_box) in combinations(boxes, 2):
        assert not its_box.overlaps(other_box), (one, other)
    saved = figure.get_tightbbox(renderer).transformed(figure.dpi_scale_trans)
    for words, box in boxes:
        assert saved.x0 - 1 <= box.x0 < box.x1 <= saved.x1 + 1, words
        assert saved.y0 - 1 <= box.y0 < box.y1 <= saved.y1 + 1, words


def test_series_differ_in_colour_and_dashes() -> None:
    drawn = [one for one in plots.roc(six()).axes[0].lines if one.get_linestyle() != "None"][1:]
    assert len({one.get_color() for one in drawn}) == 6
    assert len({str(vars(one)["_dash_pattern"]) for one in drawn}) == 6


@pytest.mark.parametrize("missing", ["matplotlib", "matplotlib.style"])
def test_matplotlib_is_missing(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delattr(matplotlib, "style", raising=False)
    for draw in FIGURES.values():
        with pytest.raises(CmflError, match=r"cmfl-export\[evaluate\]"):
            draw()
