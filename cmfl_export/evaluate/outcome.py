"""The result of an evaluation, as text for the terminal and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..base.tables import aligned
from ..base.text import counted, visible
from ..images import Degradation
from ..metrics import HEADS, LABELS, RESPONSES, RISKS, Interval, difference, figure, percent
from ..runtime import ModelCard
from .assessment import Assessment, Group
from .labelled_scores import Scored

SCHEMA_VERSION = 1

_NAMED_FAILURES = 5


@dataclass(frozen=True)
class Split:
    """The images that were evaluated.

    `path` and `sha256` belong to the protocol file; "" if the labels come from the score files.
    """

    name: str
    path: str
    sha256: str
    n_real: int
    n_attack: int
    subjects: int


@dataclass(frozen=True)
class Condition:
    """The figures under one degradation; without any if `degradation` is None."""

    degradation: Degradation | None
    d_eer: Interval
    apcer: Interval
    bpcer: Interval
    failed: int

    @property
    def label(self) -> str:
        """The degradation in words."""
        return "as they are" if self.degradation is None else self.degradation.label

    @property
    def hter(self) -> float:
        """Half total error rate: the mean of APCER and BPCER at the fixed threshold."""
        return (self.apcer.value + self.bpcer.value) / 2


@dataclass(frozen=True)
class Candidate:
    """The figures of one model or score file.

    `file` and `sha256` belong to the model or score file, `card` to the model; `conditions` starts with the
    images as they are; `differences` are this candidate minus the first, None for the first.
    """

    file: str
    sha256: str
    card: ModelCard | None
    provider: str
    rows: list[Scored] = field(repr=False)
    assessment: Assessment
    conditions: list[Condition]
    differences: dict[str, Interval] | None = None

    @property
    def name(self) -> str:
        """The name of the model or score file."""
        return self.assessment.name


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation: everything that its report shows."""

    split: Split
    candidates: list[Candidate]
    settings: dict[str, Any]
    warnings: list[str]
    out: Path

    @property
    def ok(self) -> bool:
        """Whether every image has a score."""
        return not any(candidate.assessment.failed for candidate in self.candidates)

    def to_json(self) -> dict[str, Any]:
        """The content of metrics.json; a figure that does not exist is null."""
        return {
            "schema": SCHEMA_VERSION,
            "split": asdict(self.split),
            "settings": self.settings,
            "warnings": self.warnings,
            "models": [_candidate_json(candidate) for candidate in self.candidates],
        }

    def lines(self) -> list[str]:
        """The result as text, for the terminal."""
        split = self.split
        lines = [
            f"{split.name}: {split.n_real + split.n_attack} images, {split.n_real} real and "
            f"{split.n_attack} synthetic, {split.subjects} subjects"
        ]
        for candidate in self.candidates:
            lines += ["", *_candidate_lines(candidate)]
        if len(self.candidates) > 1:
            lines += ["", *_comparison_lines(self.candidates)]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return [*lines, "", f"report: {self.out / 'report.html'}"]


def _candidate_lines(candidate: Candidate) -> list[str]:
    a = candidate.assessment
    where = f" on {candidate.provider}" if candidate.provider else ""
    lines = [f"{a.name}{where}, threshold {a.threshold:.4g} ({a.threshold_source})"]
    table = [["", *(HEADS[head] for head in a.heads)]]
    for key, label in LABELS.items():
        table.append([label, *(figure(key, values[key]) for values in a.heads.values())])
    lines += aligned(table)
    if a.responses is not None:
        lines += ["", *aligned(responses_table(a))]
    lines += ["", *aligned(risks_table(a))]
    for title, groups, rate in (
        ("attack type", a.attacks, "APCER [95 %]"),
        ("bona fide source", a.sources, "BPCER [95 %]"),
    ):
        lines += ["", *aligned(group_table(title, groups, rate))]
    if len(candidate.conditions) > 1:
        lines += ["", *aligned(condition_table(candidate))]
    if a.failed:
        lines += ["", *_failure_lines(a)]
    return lines


def responses_table(a: Assessment) -> list[list[str]]:
    """Returns a header and one row of text per rate of an assessment that has `responses`."""
    assert a.responses is not None
    where = "as the file says" if a.band is None else "from {:.4g} to {:.4g}".format(*a.band)
    rows = [[f"uncertain {where}", "[95 %]"]]
    return rows + [[label, figure(key, a.responses[key])] for key, label in RESPONSES.items()]


def risks_table(a: Assessment) -> list[list[str]]:
    """Returns a header and one row of text per figure of the risk-coverage curve."""
    rows = [["the surest are answered first", "[95 %]"]]
    return rows + [[label, figure(key, a.risks[key])] for key, label in RISKS.items()]


def group_table(title: str, groups: Sequence[Group], rate: str) -> list[list[str]]:
    """Returns a header and one row of text per group, the worst first."""
    rows = [[title, "images", "scored", rate, "D-EER", "AUC", "median score"]]
    for group in groups:
        rest = (percent(group.d_eer), _number(group.auc), _number(group.median))
        rows.append([group.name, str(group.n), str(group.scored), figure("apcer", group.error), *rest])
    return rows


def condition_table(candidate: Candidate) -> list[list[str]]:
    """Returns a header and one row of text per degradation."""
    rows = [["images", "D-EER [95 %]", "APCER at the threshold", "BPCER at the threshold", "HTER"]]
    for condition in candidate.conditions:
        values = (condition.d_eer, condition.apcer, condition.bpcer)
        rows.append([condition.label, *(figure("d_eer", value) for value in values), percent(condition.hter)])
    return rows


def comparison_table(candidates: Sequence[Candidate]) -> list[list[str]]:
    """Returns a header, and rows of text on each candidate's joint head and its difference from the first."""
    keys = ("d_eer", "apcer", "bpcer", "auc")
    rows = [["", *(LABELS[key] for key in keys)]]
    for candidate in candidates:
        values = candidate.assessment.heads["p_real"]
        rows.append([candidate.name, *(figure(key, values[key]) for key in keys)])
        if candidate.differences is not None:
            differences = (difference(key, candidate.differences[key]) for key in keys)
            rows.append(["  minus the first", *differences])
    return rows


def _comparison_lines(candidates: Sequence[Candidate]) -> list[str]:
    note = "* the 95 % interval of the difference (paired bootstrap) does not contain zero"
    return [*aligned(comparison_table(candidates)), note]


def _failure_lines(assessment: Assessment) -> list[str]:
    failed = assessment.failed
    rates = f"APNRR {percent(assessment.apnrr)}, BPNRR {percent(assessment.bpnrr)}"
    with_them = "" if assessment.responses is None else ", with those that are uncertain"
    lines = [f"{counted(len(failed), 'image')} without a score: {rates}{with_them}"]
    lines += [
        f"  {visible(scored.sample.filename)}: {scored.row.status.value}, {scored.row.error}"
        for scored in failed[:_NAMED_FAILURES]
    ]
    rest = len(failed) - _NAMED_FAILURES
    return [*lines, f"  and {rest} more"] if rest > 0 else lines


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    a = candidate.assessment
    return {
        "name": a.name,
        "file": candidate.file,
        "sha256": candidate.sha256,
        "provider": candidate.provider,
        "threshold": a.threshold,
        "threshold_source": a.threshold_source,
        "temperature": 1.0 if candidate.card is None else candidate.card.temperature,
        "heads": {
            head: {key: _interval_json(value) for key, value in values.items()}
            for head, values in a.heads.items()
        },
        "attacks": [_group_json(group, "apcer") for group in a.attacks],
        "sources": [_group_json(group, "bpcer") for group in a.sources],
        "band": a.band,
        "responses": None
        if a.responses is None
        else {key: _interval_json(value) for key, value in a.responses.items()},
        "risk_coverage": {key: _interval_json(value) for key, value in a.risks.items()},
        "apnrr": a.apnrr,
        "bpnrr": a.bpnrr,
        "failed": [
            {"filename": s.sample.filename, "status": s.row.status.value, "error": s.row.error}
            for s in a.failed
        ],
        "degradations": [
            {
                "label": condition.label,
                "family": None if condition.degradation is None else condition.degradation.family,
                "strength": None if condition.degradation is None else condition.degradation.strength,
                "failed": condition.failed,
                **{key: _interval_json(getattr(condition, key)) for key in ("d_eer", "apcer", "bpcer")},
            }
            for condition in candidate.conditions
        ],
        "difference_from_first": None
        if candidate.differences is None
        else {key: _interval_json(value) for key, value in candidate.differences.items()},
    }


def _group_json(group: Group, rate: str) -> dict[str, Any]:
    return {
        "name": group.name,
        "images": group.n,
        "scored": group.scored,
        rate: _interval_json(group.error),
        "d_eer": _finite(group.d_eer),
        "auc": _finite(group.auc),
        "median": _finite(group.median),
    }


def _interval_json(interval: Interval) -> dict[str, float | None]:
    return {key: _finite(value) for key, value in interval._asdict().items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
