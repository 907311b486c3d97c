"""The plot of a run: how many images a second each contender reaches, and where its limit is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..base.errors import UsageError
from ..base.files import whole_file, writing
from ..report import INK, LEGEND_ROW, QUIET, finish, new_figure, short, styled
from .contenders import FOLDER
from .figures import limit_for
from .measuring import Result
from .report import BenchReport
from .table import rate_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
_ALONE, _WHOLE = "#0072b2", "#e69f00"
_HEIGHT = 0.36  # of a bar, where 1 is the distance of two contenders


class _Bar(NamedTuple):
    """Images a second: median, slowest and fastest round."""

    median: float
    low: float
    high: float


def check(out: Path) -> None:
    """Raises CmflError if `out` has no ending of a figure, or matplotlib is not installed."""
    if out.suffix.lower() not in FORMATS:
        raise UsageError(f"the ending of {out} must be one of {', '.join(FORMATS)}")
    with styled():
        pass


def draw(report: BenchReport, out: Path) -> None:
    """Writes the plot, whole or not at all.

    Raises:
        CmflError: matplotlib is not installed, or `out` cannot be written.
    """
    with styled(), whole_file(out) as part, writing(out):
        plot_of(report).savefig(part, dpi=200, bbox_inches="tight", pad_inches=0.08)


def plot_of(report: BenchReport) -> Figure:
    """A bar for the network alone, at its best batch size, and one for all that belongs to it: decoding, or
    in training the loader. Whiskers go from the slowest round to the fastest; a mark is the machine's limit.
    """
    # The loader alone is so fast that next to it nothing else could be seen.
    results = [result for result in report.results if result.samples and result.contender.kind != "loader"]
    whole_measure = "fed" if report.training else FOLDER
    title = "Training, images a second" if report.training else "Images a second"
    figure = new_figure(title, 0.9 + 0.42 * len(results) + 2 * LEGEND_ROW)
    axes = figure.add_subplot()
    for place, result in enumerate(results):
        alone = [_bar(result, name) for name in report.network_measures(result)]
        _draw_bar(axes, place - _HEIGHT / 2, max(filter(None, alone), default=None), _ALONE)
        _draw_bar(axes, place + _HEIGHT / 2, _bar(result, whole_measure), _WHOLE)
        limit = limit_for(result, report.limits)
        if limit is not None and report.work is not None:
            most = limit.rate / report.work
            axes.plot([most, most], [place - _HEIGHT, place + _HEIGHT], color=INK, linewidth=1.6)
    axes.set_yticks(range(len(results)), [short(result.contender.name) for result in results])
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    _legend(figure, report.training)
    return figure


def _bar(result: Result, measure: str) -> _Bar | None:
    rates = result.rates(measure)
    return _Bar(float(np.median(rates)), min(rates), max(rates)) if rates else None


def _draw_bar(axes: Axes, place: float, bar: _Bar | None, colour: str) -> None:
    if bar is None:
        return
    axes.barh(place, bar.median, height=_HEIGHT, color=colour)
    axes.plot([bar.low, bar.high], [place, place], color=QUIET, linewidth=1.0)
    # In a column of their own, where no mark crosses them.
    axes.text(
        1.01, place, rate_text(bar.median), transform=axes.get_yaxis_transform(), va="center", fontsize=7.5
    )


def _legend(figure: Figure, training: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    whole = "the step with the loader" if training else "from files to scores"
    alone = "the step alone" if training else "the network alone, best batch size"
    mark = Line2D([], [], color=INK, linewidth=1.6, marker="|", markersize=9, linestyle="none")
    finish(
        figure,
        [Patch(color=_ALONE), Patch(color=_WHOLE), mark],
        [alone, whole, "limit: the machine's matrix products"],
    )
