"""Draws one figure with a model's scores and heatmaps on one image (`cmfl explain`)."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
from numpy.typing import NDArray

from ..base.errors import InputError, ModelError, UsageError, need
from ..base.files import refuse_overwriting, whole_file, writing
from ..base.options import DetectorOptions, DetectorSettings
from ..base.text import visible
from ..base.versions import own_version
from ..detector import Detector
from ..report import heatmaps
from ..runtime import REAL, SYNTHETIC, UNCERTAIN, Prediction, stability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
_OPACITY = 0.7
_QUIET = "#59636e"
_COLOURS = {REAL: "#0a6c74", SYNTHETIC: "#b3410e", UNCERTAIN: "#6b5a00"}


@dataclass(frozen=True)
class Explanation:
    """What the figure shows.

    Scores are P(real); those of the branches are None for a one-stream model. The others are as in
    `Prediction`; `warning` is its error.
    """

    image: str
    out: str
    p_real: float
    p_real_rgb: float | None
    p_real_spectrum: float | None
    threshold: float
    decision: str
    geometry: str | None = None
    warning: str = ""
    domain: float | None = None
    out_of_domain: bool | None = None
    spread: float | None = None
    flips: int | None = None

    def lines(self) -> list[str]:
        """The scores and the figure's path as text."""
        scores = [("p_real", self.p_real), ("p_real_rgb", self.p_real_rgb)]
        scores.append(("p_real_spectrum", self.p_real_spectrum))
        lines = [f"{name:<16} {value:.4f}" for name, value in scores if value is not None]
        lines.append(f"{'threshold':<16} {self.threshold:.4f}")
        if self.geometry is not None:
            lines.append(f"{'geometry':<16} {self.geometry}")
        if self.warning:
            lines.append(self.warning)
        if self.domain is not None:
            outside = ", out of domain" if self.out_of_domain else ""
            lines.append(f"{'domain':<16} {self.domain:g}{outside}")
        if self.spread is not None:
            lines.append(
                f"{'spread':<16} {self.spread:.4f} over {len(stability.CHANGES)} small changes of the image, "
                f"{self.flips} of which change the decision"
            )
        return [*lines, f"{self.decision}; figure in {self.out}"]


def explain(
    model: str | Path | None,
    image: str | Path,
    out: str | Path,
    options: DetectorOptions | None = None,
    **settings: Unpack[DetectorSettings],
) -> Explanation:
    """Draws the image, its spectrum, the heatmaps of both branches on them, and the scores.

    Args:
        model, options, settings: see `Detector`.
        image: the image file.
        out: the figure, .png, .svg or .pdf; appears whole or not at all.

    Raises:
        ModelError: the model cannot be used, or has no heatmap among its outputs.
        InputError: the image cannot be scored.
        UsageError: an option cannot be used; `out` has another ending, is an input or cannot be written.
        ProviderError: the provider does not load or fails.
        PackageError: matplotlib is missing.
    """
    out = Path(out)
    if out.suffix.lower() not in FORMATS:
        raise UsageError(f"the ending of {out} must be one of {', '.join(FORMATS)}")
    refuse_overwriting([out], [("the image itself", image)])
    detector = Detector(model, options, **settings)
    refuse_overwriting([out], [("the model", detector.path)])
    missing = heatmaps.lacking(detector.card)
    if missing:
        raise ModelError(
            f"{detector.path} has no {' and no '.join(missing)} among its outputs; export it again with: "
            f"cmfl export WEIGHTS -o MODEL.onnx --outputs {','.join(missing)}"
        )
    row = detector.predict(Path(image), extras=True)
    if row.p_real is None or row.decision is None:
        raise InputError(f"{image} cannot be scored: {row.error} ({row.status})")
    _save(_draw(row, detector, detector.path), out)
    return Explanation(
        str(image),
        str(out),
        row.p_real,
        row.p_real_rgb,
        row.p_real_spectrum,
        detector.threshold,
        row.decision,
        row.geometry,
        row.error,
        row.domain,
        row.out_of_domain,
        row.spread,
        row.flips,
    )


def _draw(row: Prediction, detector: Detector, model: Path) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise need("evaluate", "the figure of an explanation") from error
    pictures = _pictures(row)
    lines = -(-len(pictures) // 2)
    height = max(4.8, 0.6 + 3.35 * lines)
    top = 1 - 0.65 / height
    figure = Figure(figsize=(11.5, height), dpi=150, facecolor="white")
    name = _printable(Path(row.path).name)
    if len(name) > 90:
        name = f"{name[:60]} ... {name[-25:]}"
    figure.text(0.02, 1 - 0.12 / height, name, fontsize=13, weight="bold", va="top", parse_math=False)
    grid = figure.add_gridspec(lines, 2, left=0.02, right=0.6, bottom=0.02, top=top, wspace=0.04, hspace=0.1)
    for place, (title, pixels) in enumerate(pictures):
        axes = figure.add_subplot(grid[place // 2, place % 2])
        axes.imshow(pixels, interpolation="nearest")
        axes.set_axis_off()
        axes.set_anchor("NW")
        axes.set_title(title, fontsize=9.5, loc="left", pad=4)
    _draw_scores(_beside(figure, 0.65, 0.25 + 0.6 * len(_scores(row))), row, detector)
    _draw_scale(_beside(figure, 1.5 + 0.6 * len(_scores(row)), 0.18))
    _draw_facts(_beside(figure, 2.15 + 0.6 * len(_scores(row)), 1.0), detector, model)
    return figure


def _beside(figure: Figure, below: float, tall: float) -> Axes:
    """Returns axes to the right of the pictures; `below` and `tall` are inches, from the figure's top."""
    height = figure.get_figheight()
    return figure.add_axes((0.635, 1 - (below + tall) / height, 0.35, tall / height))


def _scores(row: Prediction) -> list[tuple[str, float]]:
    joint = "Score" if row.p_real_rgb is None else "Joint"
    scores = ((joint, row.p_real), ("RGB", row.p_real_rgb), ("Spectrum", row.p_real_spectrum))
    return [(name, value) for name, value in scores if value is not None]


def _pictures(row: Prediction) -> list[tuple[str, NDArray[np.uint8]]]:
    """Returns titles and pictures: the image and its spectrum, each alone and under its heatmap."""
    found = [("The image as the model saw it", row.extras["image"])]
    if "heatmap_rgb" in row.extras:
        found.append(("RGB branch: evidence of synthetic", _under(row, row.extras["image"], "rgb")))
    if "spectrum" in row.extras:
        grey = heatmaps.grey_spectrum(row.extras["spectrum"])
        found.append(("Its spectrum, zero frequency at the centre", np.repeat(grey[..., None], 3, axis=-1)))
        if "heatmap_spectrum" in row.extras:
            found.append(("Spectrum branch: evidence of synthetic", _under(row, grey, "spectrum")))
    return found


def _under(row: Prediction, picture: NDArray[np.uint8], branch: str) -> NDArray[np.uint8]:
    return heatmaps.overlay(picture, row.extras[f"heatmap_{branch}"], _OPACITY)


def _draw_scores(axes: Axes, row: Prediction, detector: Detector) -> None:
    bars = _scores(row)
    for place, (name, value) in enumerate(bars):
        colour = _COLOURS[detector.rule.decide(value)]
        axes.barh(place, 1, height=0.3, color="#e6e9ed")
        axes.barh(place, value, height=0.3, color=colour)
        axes.text(0, place - 0.24, name, fontsize=10)
        axes.text(1, place - 0.24, f"{value:.3f}", fontsize=10, ha="right")
        for mark in detector.band or (detector.threshold,):
            axes.plot([mark] * 2, [place - 0.22, place + 0.22], color="black", linewidth=1.5)
    axes.set_yticks([])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"], fontsize=8, color=_QUIET)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(bars) - 0.75, -0.65)
    axes.set_xlabel(
        f"P(real); the mark is the threshold {detector.threshold:.4g}"
        if detector.band is None
        else "P(real); between the marks, {:.4g} and {:.4g}, it is uncertain".format(*detector.band),
        fontsize=8.5,
        color=_QUIET,
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    decision = row.decision or ""
    colour = _COLOURS[decision]
    axes.set_title(f"Decision: {decision}", fontsize=13, loc="left", color=colour, weight="bold", pad=4)


def _draw_scale(axes: Axes) -> None:
    colours = heatmaps.colours()[None].astype(np.float64) / 255
    axes.imshow(np.full((1, 256, 3), 0.5), aspect="auto", extent=(0, 1, 0, 1))
    axes.imshow(colours, aspect="auto", extent=(0, 1, 0, 1))
    axes.set_yticks([])
    axes.set_xticks([0, 1], ["no evidence", "each heatmap's own peak"], fontsize=8, color=_QUIET)
    axes.get_xticklabels()[0].set_horizontalalignment("left")
    axes.get_xticklabels()[1].set_horizontalalignment("right")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _draw_facts(axes: Axes, detector: Detector, model: Path) -> None:
    card = detector.card
    source = card.threshold_source if detector.threshold == card.threshold else "given for this image"
    facts = [
        f"Model {card.name}, {card.architecture} {card.spectra}, {card.precision}, on {detector.provider}",
        f"{model.name}, SHA-256:",
        detector.sha256,
        f"Threshold: {source}; temperature {card.temperature:.4g}",
        f"Training data: {card.data or 'not stated'}",
        f"Made with cmfl-export {own_version()}",
        "",
        "Heatmaps: Grad-CAM of each branch's own head, 14 by 14 fields. They show what moved the score, not "
        "what was edited.",
        card.intended_use,
    ]
    text = "\n".join(
        textwrap.fill(textwrap.shorten(_printable(fact), 320), 68, break_on_hyphens=False) for fact in facts
    )
    axes.set_axis_off()
    axes.text(0, 1, text, fontsize=7.4, color=_QUIET, va="top", linespacing=1.45, parse_math=False)


def _printable(text: str) -> str:
    """Returns the text with escapes for letters that matplotlib's own font lacks and would draw as boxes."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()
    return "".join(
        letter if ord(letter) in known else letter.encode("unicode_escape").decode()
        for letter in visible(text)
    )


def _save(figure: Figure, out: Path) -> None:
    import matplotlib

    # No date and no random names, so that the same image gives the same file.
    metadata = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[out.suffix.lower()]
    with (
        whole_file(out) as part,
        writing(out),
        matplotlib.rc_context({"svg.hashsalt": "cmfl", "font.family": "DejaVu Sans"}),
    ):
        figure.savefig(part, metadata=metadata)
