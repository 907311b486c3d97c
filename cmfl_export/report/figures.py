"""How every plot looks and how it becomes a file: matplotlib without pyplot, whose figures are global."""

from __future__ import annotations

import hashlib
import html
import io
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.cache import cache_folder
from ..base.errors import need
from ..base.files import write_whole

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

# Inches. At 600 px a point is then 1.4 px, and the smallest text 11 px high.
WIDTH = 6.0
LEGEND_ROW = 0.19
_DOTS_PER_INCH = 200
_LONGEST_NAME = 54

# M. Okabe and K. Ito, Color Universal Design, 2008; without the yellow, which is too light for a line.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00")
_DASHES = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1.2)),
    (0, (6, 1.5, 1, 1.5)),
    (0, (9, 2)),
    (0, (4, 1.2, 1, 1.2, 1, 1.2)),
)
_MARKERS = "osD^vP"
INK, QUIET, GRID = "#1b1f24", "#59636e", "#d5dae0"

_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.fontsize": 8.5,
    "figure.titlesize": 10.5,
    "figure.titleweight": "bold",
    "hatch.linewidth": 0.6,
    # Text that can be searched and read aloud, and names of parts that do not change from run to run.
    "svg.fonttype": "none",
    "svg.hashsalt": "cmfl",
}


@contextmanager
def styled() -> Iterator[None]:
    """matplotlib's defaults and ours, whatever a matplotlibrc says; for making a figure and for rendering it.

    Raises:
        CmflError: matplotlib is not installed.
    """
    # matplotlib keeps a list of fonts; without this, in folders of its own in the home.
    os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))
    try:
        from matplotlib import style
    except ImportError as error:
        raise need("evaluate", "drawing plots") from error
    with style.context(["default", _STYLE]), warnings.catch_warnings():
        # A name in a script that the font lacks is boxes in the PNG; the SVG has it as text.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        yield


def new_figure(title: str, height: float) -> Figure:
    """An empty figure, `height` inches high, whose parts make room for each other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def line_of(number: int) -> dict[str, Any]:
    """Colour, dashes and marker of a series: alike in none of them up to six, in not all up to 36."""
    shift, place = divmod(number, len(_COLOURS))
    dashes = _DASHES[(place + shift) % len(_DASHES)]
    return {
        "color": _COLOURS[place],
        "linestyle": dashes,
        "marker": _MARKERS[(place + shift) % len(_MARKERS)],
    }


def finish(figure: Figure, handles: Sequence[Artist], labels: Sequence[str], columns: int = 1) -> None:
    """Adds a legend below the axes, where it hides nothing, LEGEND_ROW inches a row; settles the layout."""
    figure.legend(
        handles,
        labels,
        ncols=columns,
        loc="outside lower left",
        frameon=False,
        handlelength=3.4,
        labelspacing=0.35,
        borderaxespad=0.2,
    )
    # Once for all formats: text is as wide as the resolution makes it, and the places would depend on that.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def short(name: str) -> str:
    """The name on one line: without control characters, which no XML may hold, and not too long."""
    visible = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
    if len(visible) <= _LONGEST_NAME:
        return visible
    half = (_LONGEST_NAME - 1) // 2
    return f"{visible[:half]}…{visible[-half:]}"


def save(figure: Figure, stem: Path) -> list[Path]:
    """Writes `stem`.png (1200 px wide) and `stem`.svg, each whole or not at all.

    Returns:
        both paths.

    Raises:
        CmflError: one of them cannot be written.
    """
    png, vector = (stem.with_name(f"{stem.name}.{ending}") for ending in ("png", "svg"))
    write_whole(png, _rendered(figure, "png", {"Software": None}))
    write_whole(vector, f'<?xml version="1.0" encoding="utf-8"?>\n{svg(figure)}'.encode())
    return [png, vector]


def svg(figure: Figure) -> str:
    """The figure as an <svg> element to put into an HTML page; text stays text, and the same figure is always
    the same string. Its ids are its own, so that several may share a page.
    """
    # Nothing of when and with what: the file depends on the data alone.
    text = _rendered(figure, "svg", dict.fromkeys(("Date", "Creator", "Format", "Type"))).decode()
    text = text[text.index("<svg") :]
    own = f"p{hashlib.sha256(text.encode()).hexdigest()[:8]}-"
    text = re.sub(r"<[^<>]+>", lambda tag: re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{own}", tag[0]), text)
    title = html.escape(figure.get_suptitle())
    return text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)


def _rendered(figure: Figure, kind: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    with styled():
        figure.savefig(
            buffer, format=kind, dpi=_DOTS_PER_INCH, metadata=metadata, bbox_inches="tight", pad_inches=0.08
        )
    return buffer.getvalue()
