"""The report of an evaluation as one self-contained HTML page, and the plots in it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base.errors import InputError
from ..base.versions import own_version
from ..images import DataRoot, ImageError, fit, open_rgb
from ..metrics import HEADS, LABELS, figure, percent
from ..report import data_uri, render
from ..runtime import INTENDED_USE, REAL, UNCERTAIN
from . import plots
from .assessment import arrays
from .labelled_scores import Scored
from .outcome import (
    Candidate,
    Condition,
    Evaluation,
    comparison_table,
    condition_table,
    group_table,
    responses_table,
    risks_table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WORST = 12
_THUMBNAIL = 112

# In the order of the page.
_CAPTIONS = {
    "det": "Detection error trade-off, joint head: better is lower and further left.",
    "roc": "The same figures as a ROC curve: better is higher and further left.",
    "risk_coverage": "If only the surest images are answered, those farthest from the threshold: how many of "
    "the answers are wrong? Lower is better; at 100 % all images are answered.",
    "scores": "Scores by class: a detector is as good as these lie apart. The line is the threshold.",
    "reliability": "Of images scored 0.8, are 80 % real? On the diagonal they are, for this mix of classes.",
    "degradations": "Errors as the images get worse. The threshold stays the same.",
}


def draw(evaluation: Evaluation) -> dict[str, Figure]:
    """The plots by file name: det, roc, risk_coverage, reliability, scores (one a candidate), and
    degradations if any.
    """
    series = []
    drawings = {}
    alone = len(evaluation.candidates) == 1
    for number, candidate in enumerate(evaluation.candidates, 1):
        data = arrays(candidate.rows)
        a = candidate.assessment
        # Of the same rows as `data`.
        decisions = [a.decision(scored.row) or "" for scored in candidate.rows if scored.row.ok]
        one = plots.Series(
            candidate.name,
            data.p_real,
            data.is_real,
            a.threshold,
            a.band,
            None if a.responses is None else decisions,
        )
        series.append(one)
        drawings["scores" if alone else f"scores-{number}"] = plots.distributions(one, data.attack_types)
    drawings |= {
        "det": plots.det(series),
        "roc": plots.roc(series),
        "risk_coverage": plots.risk_coverage(series),
        "reliability": plots.reliability(series),
    }
    curves = _curves(evaluation.candidates)
    if curves:
        drawings["degradations"] = plots.degradations(curves)
    return drawings


def page(
    evaluation: Evaluation, drawings: Mapping[str, Figure], data_root: str | os.PathLike[str] | None
) -> str:
    """The report.

    Args:
        evaluation: what it says.
        drawings: what `draw` made of it.
        data_root: where the images lie, for thumbnails of the worst errors; None leaves these out.
    """
    root = None if data_root is None else _root(data_root)
    split, candidates = evaluation.split, evaluation.candidates
    files = [(split.path, split.sha256)] if split.path else []
    return render(
        "evaluate/report_page.html.jinja",
        evaluation=evaluation,
        split=split,
        comparison=comparison_table(candidates),
        sections=[_Section.of(candidate, root) for candidate in candidates],
        plots=[(plots.svg(drawings[name]), _CAPTIONS[_kind(name)]) for name in sorted(drawings, key=_place)],
        files=[*files, *((candidate.file, candidate.sha256) for candidate in candidates)],
        metric=figure,
        percent=percent,
        version=own_version(),
        intended_use=INTENDED_USE,
    )


def _root(data_root: str | os.PathLike[str]) -> DataRoot | None:
    try:
        return DataRoot.of(data_root)
    except InputError:
        # Score files may be of images that are not here any more.
        return None


def _kind(name: str) -> str:
    return name.partition("-")[0]


def _place(name: str) -> int:
    return list(_CAPTIONS).index(_kind(name))


@dataclass(frozen=True)
class _Error:
    """An image on the wrong side of the threshold, and the address of its thumbnail; "" where it has none."""

    scored: Scored
    thumbnail: str


@dataclass(frozen=True)
class _Section:
    """What the page says of a candidate, beside what the candidate has itself: tables, each with its header,
    and by class of errors what they are called, how many there are, and the worst of them.
    """

    candidate: Candidate
    metrics: list[list[str]]
    responses: list[list[str]]
    risks: list[list[str]]
    attacks: list[list[str]]
    sources: list[list[str]]
    conditions: list[list[str]]
    errors: list[tuple[str, int, list[_Error]]]

    @classmethod
    def of(cls, candidate: Candidate, root: DataRoot | None) -> _Section:
        a = candidate.assessment
        metrics = [["", *(HEADS[head] for head in a.heads)]]
        for key, label in LABELS.items():
            metrics.append([label, *(figure(key, values[key]) for values in a.heads.values())])
        return cls(
            candidate,
            metrics,
            [] if a.responses is None else responses_table(a),
            risks_table(a),
            group_table("Attack type", a.attacks, "APCER [95 %]"),
            group_table("Bona fide source", a.sources, "BPCER [95 %]"),
            condition_table(candidate),
            [] if root is None else list(_errors(candidate, root)),
        )


def _errors(candidate: Candidate, root: DataRoot) -> Iterator[tuple[str, int, list[_Error]]]:
    """The errors that the model was surest of, to look at: there the failure modes are."""
    decided = ((scored, candidate.assessment.decision(scored.row)) for scored in candidate.rows)
    wrong = [
        scored
        for scored, decision in decided
        if decision not in (None, UNCERTAIN) and (decision == REAL) != scored.sample.is_real
    ]
    for is_real, words in ((False, "Attacks called real"), (True, "Bona fide images called synthetic")):
        of_class = [scored for scored in wrong if scored.sample.is_real == is_real]
        of_class.sort(key=lambda scored: scored.row.p_real or 0.0, reverse=not is_real)
        if of_class:
            worst = [_Error(scored, _thumbnail(scored, root)) for scored in of_class[:_WORST]]
            yield words, len(of_class), worst


def _thumbnail(scored: Scored, root: DataRoot) -> str:
    try:
        picture = open_rgb(root.path(scored.sample.filename))
        if scored.row.box is not None:
            # Of a photograph the face that was scored.
            left, top, right, bottom = map(round, scored.row.box)
            picture = picture.crop((left, top, right, bottom))
        picture = fit(picture, aligned=True)
    except ImageError:
        # Score files may be of images that are not here any more.
        return ""
    buffer = io.BytesIO()
    picture.resize((_THUMBNAIL, _THUMBNAIL)).save(buffer, "JPEG", quality=85)
    return data_uri(buffer.getvalue(), "image/jpeg")


def _curves(
    candidates: Sequence[Candidate],
) -> dict[str, dict[str, list[tuple[str, float, float, float, float]]]]:
    """By family and candidate: (strength, D-EER, HTER, the D-EER's interval), the undamaged images first."""
    curves: dict[str, dict[str, list[tuple[str, float, float, float, float]]]] = {}
    for candidate in candidates:
        clean, *damaged = candidate.conditions
        for condition in damaged:
            assert condition.degradation is not None
            points = curves.setdefault(condition.degradation.family, {}).setdefault(candidate.name, [])
            if not points:
                points.append(_point("none", clean))
            points.append(_point(f"{condition.degradation.strength:g}", condition))
    return curves


def _point(label: str, condition: Condition) -> tuple[str, float, float, float, float]:
    d_eer = condition.d_eer
    return label, d_eer.value, condition.hter, d_eer.low, d_eer.high
