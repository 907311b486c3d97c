"""Draws a run: how many images per second each contender reaches, and where its limit is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..base.errors import UsageError
from ..base.files import whole_file, writing
from ..report import INK, LEGEND_ROW, QUIET, finish, new_figure, short, styled
from .contenders import FOLDER
from .report import BenchReport
from .table import rate_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
_ALONE, _WHOLE = "#0072b2", "#e69f00"
_HEIGHT = 0.36  # of a bar; 1 is the distance between two contenders


def check(out: Path) -> None:
    """Refuses an output that could not be drawn.

    Raises:
        UsageError: the ending of `out` is not one of a figure.
        PackageError: matplotlib is missing.
    """
    if out.suffix.lower() not in FORMATS:
        raise UsageError(f"the ending of {out} must be one of {', '.join(FORMATS)}")
    with styled():
        pass


def draw(report: BenchReport, out: Path) -> None:
    """Writes the plot, whole or not at all.

    Raises:
        PackageError: matplotlib is missing.
        UsageError: `out` cannot be written.
    """
    with styled(), whole_file(out) as part, writing(out):
        plot_of(report).savefig(part, dpi=200, bbox_inches="tight", pad_inches=0.08)


def plot_of(report: BenchReport) -> Figure:
    """Returns the figure: per contender one bar for the network alone and one with decoding or the loader.

    The network alone is shown at its best batch size. Whiskers go from the slowest round to the fastest; a
    mark is the machine's limit.
    """
    # The loader alone is so fast that all other bars would be too short to see.
    results = [result for result in report.results if result.samples and result.contender.kind != "loader"]
    whole_measure = "fed" if report.training else FOLDER
    title = "Training, images per second" if report.training else "Images per second"
    figure = new_figure(title, 0.9 + 0.42 * len(results) + 2 * LEGEND_ROW)
    axes = figure.add_subplot()
    for place, result in enumerate(results):
        best = max(report.network_measures(result), key=lambda name: result.rate(name) or 0.0, default="")
        _draw_bar(axes, place - _HEIGHT / 2, result.rates(best), _ALONE)
        _draw_bar(axes, place + _HEIGHT / 2, result.rates(whole_measure), _WHOLE)
        limit = report.limit_for(result)
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


def _draw_bar(axes: Axes, place: float, rates: Sequence[float], colour: str) -> None:
    """Draws the median of the rounds as a bar, and a whisker from the slowest to the fastest."""
    if not rates:
        return
    median = float(np.median(rates))
    axes.barh(place, median, height=_HEIGHT, color=colour)
    axes.plot([min(rates), max(rates)], [place, place], color=QUIET, linewidth=1.0)
    # In a separate column, where no mark crosses them.
    axes.text(1.01, place, rate_text(median), transform=axes.get_yaxis_transform(), va="center", fontsize=7.5)


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
