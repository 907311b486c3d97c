"""The report of an evaluation as one self-contained HTML page, and the plots in it."""

from __future__ import annotations

import importlib.metadata
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..images import ImageError, fit, open_rgb
from ..metrics import HEADS, LABELS, figure, percent
from ..report import Html, badge, card_table, data_uri, definitions, document, escape, resource, table
from ..report import figure as framed
from ..runtime import INTENDED_USE
from . import plots
from .assessment import Group, arrays
from .labelled_scores import Scored
from .outcome import Candidate, Condition, Evaluation, comparison_table, condition_table, group_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WORST = 12
_THUMBNAIL = 112
_MOST_FAILURES = 200

_CAPTIONS = {
    "det": "Detection error trade-off, joint head: better is lower and further left.",
    "roc": "The same figures as a ROC curve: better is higher and further left.",
    "scores": "Scores by class: a detector is as good as these lie apart. The line is the threshold.",
    "reliability": "Of images scored 0.8, are 80 % real? On the diagonal they are, for this mix of classes.",
    "degradations": "Errors as the images get worse. The threshold stays the same.",
}
_TERMS = {
    "APCER": "share of attacks (synthetic images) called real; by attack type, for the worst one counts "
    "(ISO/IEC 30107-3)",
    "BPCER": "share of bona fide (real) images called synthetic",
    "D-EER": "error rate at the threshold where APCER and BPCER are equal; a figure to compare detectors by, "
    "not what a fixed threshold delivers",
    "BPCER at APCER 5 %": "lowest BPCER of a threshold that lets at most 5 % of all attacks pass",
    "HTER": "half total error rate: the mean of APCER and BPCER at the fixed threshold",
    "APNRR, BPNRR": "share of attacks, and of bona fide images, that got no score at all; these are in no "
    "other rate",
    "ECE, Brier score": "how far scores are from being probabilities, for the mix of classes in this split",
    "Interval": "95 %. In metrics and degradations: percentile bootstrap, stratified by attack type, whole "
    "subjects drawn. By attack type and source: Wilson's, of each image as one observation",
}


def draw(evaluation: Evaluation) -> dict[str, Figure]:
    """The plots by file name: det, roc, reliability, scores (one a candidate), and degradations if any."""
    series = []
    figures = {}
    alone = len(evaluation.candidates) == 1
    for number, candidate in enumerate(evaluation.candidates, 1):
        data = arrays(candidate.rows)
        one = plots.Series(candidate.name, data.p_real, data.is_real, candidate.assessment.threshold)
        series.append(one)
        figures["scores" if alone else f"scores-{number}"] = plots.distributions(one, data.attack_types)
    figures |= {
        "det": plots.det(series),
        "roc": plots.roc(series),
        "reliability": plots.reliability(series),
    }
    curves = _curves(evaluation.candidates)
    if curves:
        figures["degradations"] = plots.degradations(curves)
    return figures


def page(evaluation: Evaluation, figures: Mapping[str, Figure], data_root: Path | None) -> str:
    """The report.

    Args:
        evaluation: the figures.
        figures: what `draw` made of them.
        data_root: where the images lie, for thumbnails of the worst errors; None leaves these out.
    """
    names = ", ".join(candidate.name for candidate in evaluation.candidates)
    title = f"Evaluation of {names} on {evaluation.split.name}"
    sections = [_overview(evaluation)]
    if len(evaluation.candidates) > 1:
        sections.append(_comparison(evaluation))
    sections += [_candidate(candidate, data_root) for candidate in evaluation.candidates]
    sections += [_plots(figures), _origin(evaluation)]
    body = (
        f"<header><h1>{escape(title)}</h1></header>\n<main>\n{''.join(sections)}</main>\n"
        f"<footer><p>{escape(INTENDED_USE)}</p></footer>\n"
    )
    return document(title, body, style=resource(__package__, "report_page.css"))


def _overview(evaluation: Evaluation) -> str:
    split = evaluation.split
    facts: dict[str, object] = {
        "Images": f"{split.n_real + split.n_attack}: {split.n_real} real, {split.n_attack} synthetic",
        "Subjects": split.subjects,
    }
    if len(evaluation.candidates) == 1:
        a = evaluation.candidates[0].assessment
        worst = a.attacks[0]
        joint = a.heads["p_real"]
        facts |= {
            "D-EER": figure("d_eer", joint["d_eer"]),
            f"APCER at {a.threshold:.4g}": figure("apcer", joint["apcer"]),
            f"BPCER at {a.threshold:.4g}": figure("bpcer", joint["bpcer"]),
            "Worst attack type": f"{worst.name}: APCER {figure('apcer', worst.error)}",
            "Threshold": a.threshold_source,
            "Without a score": len(a.failed),
        }
    notes = "".join(f'<p class="note warn">{escape(warning)}</p>\n' for warning in evaluation.warnings)
    return notes + definitions(facts)


def _comparison(evaluation: Evaluation) -> str:
    header, *rows = comparison_table(evaluation.candidates)
    note = (
        "Differences are from the first, over the images that both could score; * marks those whose 95 % "
        "interval (paired bootstrap: the same draws for both) leaves out zero."
    )
    shown = table(header, rows, caption="Joint head of each candidate", numeric=range(1, len(header)))
    return f"<h2>Comparison</h2>\n{shown}<p>{escape(note)}</p>\n"


def _plots(figures: Mapping[str, Figure]) -> str:
    shown = []
    for name in sorted(figures, key=lambda name: list(_CAPTIONS).index(name.partition("-")[0])):
        shown.append(framed(Html(plots.svg(figures[name])), _CAPTIONS[name.partition("-")[0]]))
    return f'<h2>Plots</h2>\n<div class="plots">\n{"".join(shown)}</div>\n'


def _candidate(candidate: Candidate, data_root: Path | None) -> str:
    a = candidate.assessment
    rows = [
        [label, *(figure(key, values[key]) for values in a.heads.values())] for key, label in LABELS.items()
    ]
    parts = [
        f"<h2>{escape(a.name)}</h2>\n",
        definitions(
            {
                "File": Html(f'<span class="path">{escape(candidate.file)}</span>'),
                "Runs on": candidate.provider or "a score file",
                "Threshold": f"{a.threshold:.4g} ({a.threshold_source})",
                "APNRR": percent(a.apnrr),
                "BPNRR": percent(a.bpnrr),
            }
        ),
        table(
            ["", *(HEADS[head] for head in a.heads)],
            rows,
            caption="Metrics by head, with 95 % intervals",
            numeric=range(1, len(a.heads) + 1),
        ),
        _groups("By attack type, the worst first", "Attack type", a.attacks, "APCER"),
        _groups("By bona fide source, the worst first", "Bona fide source", a.sources, "BPCER"),
    ]
    if len(candidate.conditions) > 1:
        parts.append(_degradations(candidate))
    if data_root is not None:
        parts.append(_errors(candidate, data_root))
    if a.failed:
        parts.append(_failures(a.failed))
    if candidate.card is not None:
        parts.append(f"<details><summary>Model card</summary>\n{card_table(candidate.card)}</details>\n")
    return "".join(parts)


def _groups(caption: str, title: str, groups: Sequence[Group], rate: str) -> Html:
    header, *rows = group_table(title, groups, f"{rate} [95 %]")
    return table(header, rows, caption=caption, numeric=range(1, len(header)))


def _degradations(candidate: Candidate) -> Html:
    header, *texts = condition_table(candidate)
    rows = []
    for condition, (label, *cells) in zip(candidate.conditions, texts, strict=True):
        values = (condition.d_eer.value, condition.apcer.value, condition.bpcer.value, condition.hter)
        rows.append([label, *(_heat(cell, value) for cell, value in zip(cells, values, strict=True))])
    return table(
        header,
        rows,
        caption="Under degradation, at the same threshold",
        numeric=range(1, len(header)),
    )


def _heat(text: str, share: float) -> Html:
    return Html(f'<span class="heat" style="--share:{share:.3f}">{escape(text)}</span>')


def _errors(candidate: Candidate, data_root: Path) -> str:
    """The errors that the model was surest of, to look at: there the failure modes are."""
    wrong = [
        scored
        for scored in candidate.rows
        if scored.row.p_real is not None
        and (scored.row.p_real >= candidate.assessment.threshold) != scored.sample.is_real
    ]
    parts = []
    for is_real, words in ((False, "Attacks called real"), (True, "Bona fide images called synthetic")):
        of_class = [scored for scored in wrong if scored.sample.is_real == is_real]
        of_class.sort(key=lambda scored: scored.row.p_real or 0.0, reverse=not is_real)
        if of_class:
            shown = "".join(_error(scored, data_root) for scored in of_class[:_WORST])
            count = f"{min(_WORST, len(of_class))} of {len(of_class)}, the surest first"
            parts.append(f'<h3>{words}: {count}</h3>\n<ul class="errors">\n{shown}</ul>\n')
    return "".join(parts)


def _error(scored: Scored, data_root: Path) -> str:
    sample, score = scored.sample, scored.row.p_real
    try:
        picture = open_rgb(data_root / sample.filename)
        if scored.row.box is not None:
            # Of a photograph the face that was scored.
            left, top, right, bottom = map(round, scored.row.box)
            picture = picture.crop((left, top, right, bottom))
        picture = fit(picture, aligned=True)
    except ImageError:
        # Score files may be of images that are not here any more.
        image = ""
    else:
        buffer = io.BytesIO()
        picture.resize((_THUMBNAIL, _THUMBNAIL)).save(buffer, "JPEG", quality=85)
        image = f'<img alt="" src="{data_uri(buffer.getvalue(), "image/jpeg")}">'
    kind = badge(sample.attack_type or "real", "real" if sample.is_real else "synthetic")
    name = f'<span class="path">{escape(sample.filename)}</span>'
    return f"<li>{image}{kind}<br>p_real {score:.3f}{name}</li>\n"


def _failures(failed: Sequence[Scored]) -> str:
    rows = [
        (Html(f'<span class="path">{escape(s.sample.filename)}</span>'), s.row.status.value, s.row.error)
        for s in failed[:_MOST_FAILURES]
    ]
    rest = len(failed) - len(rows)
    more = f"<p>And {rest} more; all are in metrics.json.</p>\n" if rest else ""
    return table(("Image", "Status", "Reason"), rows, caption="Images without a score") + more


def _origin(evaluation: Evaluation) -> str:
    split = evaluation.split
    files = [(split.path, split.sha256)] if split.path else []
    files += [(candidate.file, candidate.sha256) for candidate in evaluation.candidates]
    rows = [
        (Html(f'<span class="path">{escape(name)}</span>'), Html(f"<code>{sha}</code>"))
        for name, sha in files
    ]
    settings = evaluation.settings
    facts = {
        "Date": settings["date"],
        "Command": Html(f"<code>{escape(settings['command'])}</code>"),
        "Bootstrap": f"{settings['samples']} resamples, seed {settings['seed']}",
        "cmfl-export": importlib.metadata.version("cmfl-export"),
    }
    return (
        f"<h2>How it was measured</h2>\n{definitions(facts)}"
        f"{table(('File', 'SHA-256'), rows, caption='Files')}"
        f"<h3>Terms</h3>\n{definitions(_TERMS)}"
    )


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
