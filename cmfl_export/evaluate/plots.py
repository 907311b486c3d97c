"""Draws the plots of an evaluation as matplotlib figures; `save` writes one to a file, `svg` for a page.

Each function raises the ValueError of the metrics that it shows, and PackageError without matplotlib.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import metrics
from ..metrics import wilson
from ..report import INK, LEGEND_ROW, QUIET, finish, line_of, new_figure, save, short, styled, svg
from ..runtime import REAL, SYNTHETIC

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = [
    "Series",
    "degradations",
    "det",
    "distributions",
    "reliability",
    "risk_coverage",
    "roc",
    "save",
    "svg",
]

# Labels of a DET axis; if there is no room for all, the first ones are kept.
_DET_TICKS = (
    *(0.01, 0.1, 0.5, 0.9, 0.99, 0.001, 0.999, 0.0001, 0.9999, 0.00001, 0.99999),
    *(
        0.05,
        0.2,
        0.02,
        0.005,
        0.4,
        0.8,
        0.95,
        0.002,
        0.6,
        0.98,
        0.995,
        0.998,
        0.0005,
        0.0002,
        0.00005,
        0.00002,
    ),
)
_RIGHT, _WRONG, _HATCH = "#0072b2", "#d55e00", "//////"
_MOST_ATTACK_ROWS = 7


class Series(NamedTuple):
    """One detector's scores: `p_real` [N] in [0, 1], `is_real` [N], and its threshold.

    `band`: low and high of the scores that are uncertain, or None. `decisions` [N], where one may be
    uncertain.
    """

    name: str
    p_real: ArrayLike
    is_real: ArrayLike
    threshold: float
    band: tuple[float, float] | None = None
    decisions: ArrayLike | None = None


def det(series: Sequence[Series]) -> Figure:
    """Draws the detection error trade-off (ISO/IEC 19795-1): BPCER against APCER on normal deviate axes.

    Two normal distributions of scores give a straight line. A rate of 0 has no place on such an axis, so 0
    and rates below 0.001 % are drawn at its end, apart from other rates. The D-EER (on the diagonal) and the
    detector's threshold are marked.
    """
    curves = [metrics.det(one.p_real, one.is_real) for one in series]
    equal = [metrics.d_eer(one.p_real, one.is_real).rate for one in series]
    decided = [_rates(one) for one in series]
    low, high = _det_range(curves, [*(1.6 * rate for rate in equal), *(max(rates) for rates in decided)])

    def position(rate: float) -> float:
        return _deviate(min(max(rate, low), 1 - low))

    with styled():
        figure = new_figure("Detection error trade-off", 5.5 + LEGEND_ROW * (len(series) + 2))
        axes = figure.add_subplot(box_aspect=1.0)
        ticks = _ticks(low, high)
        for axis, name in ((axes.xaxis, "APCER (%)"), (axes.yaxis, "BPCER (%)")):
            axis.set_ticks([_deviate(tick) for tick in ticks], list(ticks.values()))
            axis.set_label_text(name)
        ends = position(low), _deviate(high)
        # Room for lines and marks at the end of the axis.
        limits = ends[0] - 0.02 * (ends[1] - ends[0]), ends[1]
        axes.set(xlim=limits, ylim=limits)
        axes.plot(limits, limits, color=QUIET, linewidth=0.8)
        lines = []
        for number, curve in enumerate(curves):
            rates = curve.apcer.clip(low, 1 - low), curve.bpcer.clip(low, 1 - low)
            # To thin the curve, logistic deviates are close enough to normal ones, and faster.
            kept = _thinned(*(np.log(rate / (1 - rate)) for rate in rates))
            x, y = ([_deviate(rate) for rate in values[kept]] for values in rates)
            lines.append(_line(axes, number, x, y))
            _mark(axes, number, position(decided[number][0]), position(decided[number][1]), "s")
            _mark(axes, number, position(equal[number]), position(equal[number]), "o")
        labels = [
            f"D-EER {100 * rate:.1f} % · {short(one.name)}" for one, rate in zip(series, equal, strict=True)
        ]
        marks = {"o": "D-EER", "s": "at the detector's threshold"}
        finish(figure, [*lines, *(_sample(marker) for marker in marks)], [*labels, *marks.values()])
    return figure


def roc(series: Sequence[Series]) -> Figure:
    """Draws the receiver operating characteristic: 1 - BPCER against APCER, with the detector's threshold."""
    with styled():
        figure = new_figure("Receiver operating characteristic", 5.5 + LEGEND_ROW * (len(series) + 1))
        axes = figure.add_subplot(box_aspect=1.0)
        axes.set(xlim=(-1, 101), ylim=(-1, 101), xlabel="APCER (%)", ylabel="100 − BPCER (%)")
        axes.plot([0, 100], [0, 100], color=QUIET, linewidth=0.8)
        lines, labels = [], []
        for number, one in enumerate(series):
            curve = metrics.roc(one.p_real, one.is_real)
            kept = _thinned(curve.fpr, curve.tpr)
            lines.append(_line(axes, number, 100 * curve.fpr[kept], 100 * curve.tpr[kept]))
            apcer, bpcer = _rates(one)
            _mark(axes, number, 100 * apcer, 100 * (1 - bpcer), "s")
            labels.append(f"AUC {metrics.auc(one.p_real, one.is_real):.3f} · {short(one.name)}")
        finish(figure, [*lines, _sample("s")], [*labels, "at the detector's threshold"])
    return figure


def risk_coverage(series: Sequence[Series]) -> Figure:
    """Draws the share of wrong decisions among the answered images against the share answered.

    The surest, those farthest from the threshold, are answered first. Where a detector has decisions of which
    some may be uncertain, their shares are marked.
    """
    with styled():
        figure = new_figure("Errors among the answered", 4.6 + LEGEND_ROW * (len(series) + 1))
        axes = figure.add_subplot()
        lines, labels, top, marked = [], [], 0.0, False
        for number, one in enumerate(series):
            ranking = metrics.RiskRanking(one.p_real, one.is_real, one.threshold)
            curve = ranking.curve()
            kept = _thinned(curve.coverage, curve.risk)
            lines.append(_line(axes, number, 100 * curve.coverage[kept], 100 * curve.risk[kept]))
            # The first few images alone have any risk from 0 to 1, which would set the scale.
            top = max(top, float(curve.risk[curve.coverage >= 0.05].max()))
            if one.decisions is not None and (point := _answered(one)):
                _mark(axes, number, 100 * point[0], 100 * point[1], "s")
                top, marked = max(top, point[1]), True
            labels.append(f"area {ranking.figures()['aurc']:.3f} · {short(one.name)}")
        axes.set(xlim=(-1, 101), ylim=(0, 110 * top or 1))
        axes.set(xlabel="Share of the images that are answered (%)", ylabel="Errors among these (%)")
        marks = ([_sample("s")], ["the detector's own decisions"]) if marked else ([], [])
        finish(figure, [*lines, *marks[0]], [*labels, *marks[1]])
    return figure


def distributions(series: Series, attack_types: ArrayLike) -> Figure:
    """Draws histograms of the scores: the real images, then each attack type, the worst APCER first.

    Bars show shares of a row's images, each row on its own scale. Scores on the wrong side of the threshold
    have another colour and are hatched; those that are uncertain are grey. At most seven rows show attacks;
    the last combines all others.

    Args:
        attack_types: [N] names; those of real samples are ignored.
    """
    scores = np.asarray(series.p_real, np.float64)
    low, high = series.band or (series.threshold, series.threshold)
    uncertain = (scores >= low) & (scores < high)
    is_wrong = ~uncertain & ((scores >= high) != np.asarray(series.is_real, np.bool_))
    rows = _rows(series, np.asarray(attack_types, np.str_))
    edges = np.linspace(0, 1, 51)
    with styled():
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch
        from matplotlib.ticker import MaxNLocator

        figure = new_figure(f"Scores of {short(series.name)}", 1.1 + 1.05 * len(rows))
        panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (label, error, members) in zip(panels, rows, strict=True):
            total = int(members.sum())
            right, between, wrong = (
                np.histogram(scores[members & part], edges)[0] * 100 / total
                for part in (~is_wrong & ~uncertain, uncertain, is_wrong)
            )
            width = {"width": np.diff(edges), "align": "edge"}
            axes.bar(edges[:-1], right, color=_RIGHT, **width)
            if series.band:
                axes.bar(edges[:-1], between, bottom=right, color=QUIET, **width)
            axes.bar(
                edges[:-1],
                wrong,
                bottom=right + between,
                color=_WRONG,
                hatch=_HATCH,
                edgecolor="white",
                linewidth=0,
                **width,
            )
            for end in {low, high}:
                axes.axvline(end, color=INK, linewidth=1.4)
            rate = 100 * int((members & is_wrong).sum()) / total
            axes.set_title(f"{label} · n = {total:,} · {error} {rate:.1f} %")
            axes.set(xlim=(0, 1), ylim=(0, 1.08 * (right + between + wrong).max()))
            axes.yaxis.set_major_locator(MaxNLocator(3))
        panels[-1].set_xlabel("P(real)")
        figure.supylabel("Share of the images (%)", fontsize=9)
        finish(
            figure,
            [
                Patch(facecolor=_RIGHT),
                *([Patch(facecolor=QUIET)] if series.band else []),
                Patch(facecolor=_WRONG, hatch=_HATCH, edgecolor="white", linewidth=0),
                Line2D([], [], color=INK, linewidth=1.4),
            ],
            [
                "on the right side",
                *(["uncertain"] if series.band else []),
                "on the wrong side",
                f"from {low:.4g} to {high:.4g}" if series.band else f"threshold {series.threshold:.4g}",
            ],
            columns=4 if series.band else 3,
        )
    return figure


def reliability(series: Sequence[Series]) -> Figure:
    """Draws the share of real images by score (15 bins), and below it the number of images per bin.

    Up to three detectors have Wilson's 95 % intervals; more intervals would hide each other.
    """
    found = [metrics.reliability(one.p_real, one.is_real) for one in series]
    with styled():
        from matplotlib.ticker import FuncFormatter

        figure = new_figure("Reliability of the scores", 5.9 + LEGEND_ROW * len(series))
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.set(xlim=(-0.01, 1.01), ylim=(-2, 102), ylabel="Share of real images (%)")
        above.plot([0, 1], [0, 100], color=QUIET, linewidth=0.8)
        most = max(float(one.count.max()) for one in found)
        # More than a decade: on a shorter axis matplotlib also labels ticks between powers of ten.
        below.set(yscale="log", ylim=(0.7, max(15, 2 * most)), xlabel="P(real)", ylabel="Images in the bin")
        below.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
        lines, labels = [], []
        for number, (one, bins) in enumerate(zip(series, found, strict=True)):
            filled = bins.count > 0
            x, share, count = bins.mean_score[filled], bins.share_real[filled], bins.count[filled]
            color, dashes = (line_of(number)[key] for key in ("color", "linestyle"))
            if len(series) <= 3:
                bounds = [wilson(round(s * n), int(n)) for s, n in zip(share, count, strict=True)]
                low, high = ([100 * bound[end] for bound in bounds] for end in (1, 2))
                above.vlines(x, low, high, color=color, alpha=0.35)
            lines.append(_line(above, number, x, 100 * share, marked=True))
            below.stairs(bins.count, bins.edges, color=color, linestyle=dashes, linewidth=1.5)
            labels.append(f"ECE {metrics.ece(one.p_real, one.is_real):.3f} · {short(one.name)}")
        finish(figure, lines, labels)
    return figure


def degradations(
    curves: Mapping[str, Mapping[str, Sequence[tuple[str, float, float, float, float]]]],
) -> Figure:
    """Draws the errors under degradation: a row of panels per kind of degradation, all on one scale.

    Args:
        curves: by kind of degradation and detector, in drawing order, (strength, D-EER, half total error rate
            at the detector's threshold, low and high end of the D-EER's interval).
    """
    names = list(dict.fromkeys(name for family in curves.values() for name in family))
    top = max(max(point[1:]) for family in curves.values() for points in family.values() for point in points)
    with styled():
        figure = new_figure("Errors under degradation", 0.8 + 1.75 * len(curves) + LEGEND_ROW * len(names))
        panels = figure.subplots(len(curves), 2, sharey=True, squeeze=False)
        panels[0, 0].set_title("D-EER, with its 95 % interval")
        panels[0, 1].set_title("Half total error at the fixed threshold")
        lines: dict[str, Line2D] = {}
        for row, (family, by_name) in zip(panels, curves.items(), strict=True):
            for name, points in by_name.items():
                number = names.index(name)
                x = np.arange(len(points))
                _, equal, half_total, low, high = zip(*points, strict=True)
                band = 100 * np.array(low), 100 * np.array(high)
                row[0].fill_between(x, *band, color=line_of(number)["color"], alpha=0.15, linewidth=0)
                for axes, rates in zip(row, (equal, half_total), strict=True):
                    lines[name] = _line(axes, number, x, 100 * np.array(rates), marked=True)
                    axes.set_xticks(x, [point[0] for point in points])
            for axes in row:
                axes.set(xlabel=short(family), ylim=(0, 105 * top or 1), xmargin=0.08)
            row[0].set_ylabel("Error (%)")
        finish(figure, [lines[name] for name in names], [short(name) for name in names])
    return figure


def _answered(one: Series) -> tuple[float, float] | None:
    """Returns the share of the images with an answer, and of the errors among these, if there are any."""
    decisions, is_real = np.asarray(one.decisions, np.str_), np.asarray(one.is_real, np.bool_)
    real, synthetic = decisions == REAL, decisions == SYNTHETIC
    answered = real | synthetic
    if not answered.any():
        return None
    wrong = (real & ~is_real) | (synthetic & is_real)
    return float(answered.mean()), float(wrong[answered].mean())


def _rates(one: Series) -> tuple[float, float]:
    """Returns (APCER, BPCER) at the detector's threshold."""
    scores = one.p_real, one.is_real, one.threshold
    return metrics.apcer(*scores), metrics.bpcer(*scores)


def _rows(series: Series, attack_types: NDArray[np.str_]) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Returns the rows of `distributions`: label, name of the error, and mask of the samples."""
    is_real = np.asarray(series.is_real, np.bool_)
    rows = [("Real", "BPCER", is_real)]
    worst_first = list(metrics.apcer_by_attack(series.p_real, is_real, attack_types, series.threshold))
    single = worst_first if len(worst_first) <= _MOST_ATTACK_ROWS else worst_first[: _MOST_ATTACK_ROWS - 1]
    rows += [(short(name), "APCER", ~is_real & (attack_types == name)) for name in single]
    rest = worst_first[len(single) :]
    if rest:
        rows.append((f"{len(rest)} other attack types", "APCER", ~is_real & np.isin(attack_types, rest)))
    return rows


def _det_range(curves: Sequence[metrics.Det], to_show: Sequence[float]) -> tuple[float, float]:
    """Returns the ends of both axes: below every rate that is not 0, and above all rates in `to_show`."""
    ticks = sorted(_DET_TICKS)
    smallest = min(rates[rates > 0].min() for curve in curves for rates in (curve.apcer, curve.bpcer))
    low = next((tick for tick in reversed(ticks) if tick < min(smallest, 0.02)), ticks[0])
    high = next((tick for tick in ticks if tick >= max(0.5, *to_show)), 1.0)
    return low, min(high, 1 - low)


def _ticks(low: float, high: float) -> dict[float, str]:
    """Returns rates and their labels: 0 (and 100) at the ends, and as many usual rates as have room."""
    room = 0.055 * (_deviate(high) - _deviate(low))
    ticks = {low: "0"} | ({high: "100"} if high == 1 - low else {})
    for tick in _DET_TICKS:
        if low < tick <= high and all(abs(_deviate(tick) - _deviate(other)) > room for other in ticks):
            ticks[tick] = f"{100 * tick:g}"
    return ticks


def _deviate(rate: float) -> float:
    return NormalDist().inv_cdf(float(rate))


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.intp]:
    """Returns the points of a curve that make a visible difference: some thousand of a million."""
    cells = [np.floor((values - values.min()) / (np.ptp(values) or 1.0) * 1500) for values in (x, y)]
    moves = (np.diff(cells[0]) != 0) | (np.diff(cells[1]) != 0)
    # Both ends of every move, so that corners stay sharp.
    return np.flatnonzero(np.concatenate([[True], moves]) | np.concatenate([moves, [True]]))


def _line(axes: Axes, number: int, x: ArrayLike, y: ArrayLike, *, marked: bool = False) -> Line2D:
    look = line_of(number) if marked else line_of(number) | {"marker": None}
    return axes.plot(x, y, linewidth=1.8, markersize=4.5, **look)[0]


def _mark(axes: Axes, number: int, x: float, y: float, marker: str) -> None:
    axes.plot(x, y, clip_on=False, zorder=5, **_mark_look(marker, line_of(number)["color"]))


def _sample(marker: str) -> Line2D:
    """Returns a mark for the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **_mark_look(marker, QUIET))


def _mark_look(marker: str, color: str) -> dict[str, Any]:
    """Returns the style of a small disc or a larger empty square; both stay visible in one place."""
    face, size = (color, 5.0) if marker == "o" else ("white", 8.5)
    return {
        "marker": marker,
        "markersize": size,
        "markerfacecolor": face,
        "markeredgecolor": color,
        "markeredgewidth": 1.3,
        "linestyle": "none",
    }
