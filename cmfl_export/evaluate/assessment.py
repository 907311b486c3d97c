"""Computes the figures of one set of scores, with intervals, and by attack type and source."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..base.errors import InputError
from ..metrics import Interval, RiskRanking, bootstrap, bootstrap_of, response_rates, wilson
from ..runtime import REAL, SCORE_OUTPUTS, SYNTHETIC, UNCERTAIN, DecisionRule, Prediction
from .labelled_scores import Scored

# Resamples of the bootstrap, and the share of them that an interval contains.
SAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Group:
    """The figures of one attack type, or of one source of bona fide images.

    Attributes:
        name: the attack type, or the folder.
        n, scored: number of images, and how many of them have a score.
        error: APCER of an attack type, or BPCER of a source, at the threshold, with Wilson's interval.
        d_eer, auc: of the group against all scored images of the other class.
        median: median score.
    """

    name: str
    n: int
    scored: int
    error: Interval
    d_eer: float
    auc: float
    median: float


@dataclass(frozen=True)
class Assessment:
    """The figures of one set of scores.

    Attributes:
        name: name of the model or the score file.
        threshold: an image is real if its score is at least this; also where there is a band, for all rates
            but those of `responses`.
        threshold_source: how the threshold was chosen.
        band: low and high of the scores that are uncertain, where the model has them.
        n_real, n_attack: images of each class, with or without a score.
        heads: the metrics of `metrics.summary` with their bootstrap intervals, by score (`p_real`,
            `p_real_rgb`, `p_real_spectrum`).
        attacks: attack types, the highest APCER first (ISO/IEC 30107-3 reports the worst, not the mean).
        sources: folders of bona fide images, the highest BPCER first.
        failed: images without a score.
        risks: `RiskRanking.figures` of the joint head at the threshold.
        responses: `response_rates` of the decisions, where one may be uncertain; else None. An image without
            a score is no response, too.
    """

    name: str
    threshold: float
    threshold_source: str
    n_real: int
    n_attack: int
    heads: dict[str, dict[str, Interval]]
    attacks: list[Group]
    sources: list[Group]
    failed: list[Scored]
    risks: dict[str, Interval]
    band: tuple[float, float] | None = None
    responses: dict[str, Interval] | None = None

    @property
    def apnrr(self) -> float:
        """Attack presentation non-response rate: the share of attacks without a score or uncertain."""
        if self.responses is not None:
            return self.responses["apnrr"].value
        return sum(not scored.sample.is_real for scored in self.failed) / self.n_attack

    @property
    def bpnrr(self) -> float:
        """Bona fide presentation non-response rate: the share of these without a score or uncertain."""
        if self.responses is not None:
            return self.responses["bpnrr"].value
        return sum(scored.sample.is_real for scored in self.failed) / self.n_real

    def decision(self, row: Prediction) -> str | None:
        """What is decided on an image: as its row says where it may be uncertain, else by the threshold."""
        if row.p_real is None:
            return None
        if self.responses is not None and row.decision is not None:
            return row.decision
        return DecisionRule(self.threshold).decide(row.p_real)


@dataclass(frozen=True)
class Arrays:
    """The rows that have a score, as arrays [N]: each kind of score (float64), and facts on each image."""

    scores: dict[str, NDArray[np.float64]]
    is_real: NDArray[np.bool_]
    attack_types: NDArray[np.str_]
    subjects: NDArray[np.str_]
    sources: NDArray[np.str_]

    @property
    def p_real(self) -> NDArray[np.float64]:
        """The scores of the joint head."""
        return self.scores["p_real"]


def arrays(rows: Sequence[Scored]) -> Arrays:
    """Returns the rows that have a score, as arrays."""
    kept = [scored for scored in rows if scored.row.ok]
    scores = {}
    for name in SCORE_OUTPUTS:
        values = [getattr(scored.row, name) for scored in kept]
        if values and None not in values:
            scores[name] = np.array(values, np.float64)
    return Arrays(
        scores,
        np.array([scored.sample.is_real for scored in kept], np.bool_),
        np.array([scored.sample.attack_type for scored in kept], np.str_),
        np.array([scored.sample.subject for scored in kept], np.str_),
        np.array([posixpath.dirname(scored.sample.filename) or "." for scored in kept], np.str_),
    )


def assess(
    name: str,
    rows: Sequence[Scored],
    threshold: float,
    threshold_source: str,
    *,
    band: tuple[float, float] | None = None,
    silent: bool = False,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Assessment:
    """Returns the figures of one set of scores.

    Args:
        name: name of the model or score file.
        rows: every image of the split, in its order.
        threshold, threshold_source: of the decision on `p_real`; the rates of the branches use it too.
        band: of the scores that are uncertain, to be shown.
        silent: whether the decisions of the rows count, of which some may be uncertain.
        samples, seed: of the bootstrap, which is stratified by attack type and draws whole subjects.

    Raises:
        InputError: a class has no image with a score.
    """
    data = arrays(rows)
    n_real = sum(scored.sample.is_real for scored in rows)
    failed = [scored for scored in rows if not scored.row.ok]
    for is_real, word in ((True, "real"), (False, "synthetic")):
        if not (data.is_real == is_real).any():
            reason = next((f": {s.row.error}" for s in failed if s.sample.is_real == is_real), "")
            raise InputError(f"{name}: no {word} image has a score, and rates need both classes{reason}")
    heads = {
        head: bootstrap(
            values,
            data.is_real,
            threshold,
            strata=data.attack_types,
            subjects=data.subjects,
            samples=samples,
            seed=seed,
            level=LEVEL,
        )
        for head, values in data.scores.items()
    }
    return Assessment(
        name,
        threshold,
        threshold_source,
        n_real,
        len(rows) - n_real,
        heads,
        _groups(rows, data, False, data.attack_types, lambda s: s.sample.attack_type, threshold),
        _groups(
            rows,
            data,
            True,
            data.sources,
            lambda s: posixpath.dirname(s.sample.filename) or ".",
            threshold,
        ),
        failed,
        bootstrap_of(
            RiskRanking(data.p_real, data.is_real, threshold).figures,
            data.is_real,
            strata=data.attack_types,
            subjects=data.subjects,
            samples=samples,
            seed=seed,
            level=LEVEL,
        ),
        band,
        _responses(rows, threshold, samples, seed) if silent else None,
    )


def may_be_uncertain(rows: Sequence[Scored]) -> bool:
    """Whether a decision of the rows is uncertain."""
    return any(scored.row.decision == UNCERTAIN for scored in rows)


def _responses(rows: Sequence[Scored], threshold: float, samples: int, seed: int) -> dict[str, Interval]:
    """The rates of the decisions of all rows, also of those without a score."""
    rule = DecisionRule(threshold)
    decisions = np.array(
        [
            "" if row.p_real is None else row.decision or rule.decide(row.p_real)
            for row in (scored.row for scored in rows)
        ],
        np.str_,
    )
    is_real = np.array([scored.sample.is_real for scored in rows], np.bool_)
    real, synthetic = decisions == REAL, decisions == SYNTHETIC
    return bootstrap_of(
        lambda weights: response_rates(real, synthetic, is_real, weights),
        is_real,
        strata=np.array([scored.sample.attack_type for scored in rows], np.str_),
        subjects=np.array([scored.sample.subject for scored in rows], np.str_),
        samples=samples,
        seed=seed,
        level=LEVEL,
    )


def _groups(
    rows: Sequence[Scored],
    data: Arrays,
    real: bool,
    labels: NDArray[np.str_],
    label_of: Callable[[Scored], str],
    threshold: float,
) -> list[Group]:
    """Returns the figures of each group of one class, the highest error first."""
    total: dict[str, int] = {}
    for scored in rows:
        if scored.sample.is_real == real:
            total[label_of(scored)] = total.get(label_of(scored), 0) + 1
    found = []
    for name, n in total.items():
        of_group = (data.is_real == real) & (labels == name)
        scores = data.p_real[of_group]
        if not scores.size:
            found.append(Group(name, n, 0, Interval(np.nan, np.nan, np.nan), np.nan, np.nan, np.nan))
            continue
        kept = of_group | (data.is_real != real)
        pair = data.p_real[kept], data.is_real[kept]
        called_real = int((scores >= threshold).sum())
        found.append(
            Group(
                name,
                n,
                scores.size,
                wilson(scores.size - called_real if real else called_real, scores.size, LEVEL),
                metrics.d_eer(*pair).rate,
                metrics.auc(*pair),
                float(np.median(scores)),
            )
        )
    return sorted(found, key=lambda group: (-np.nan_to_num(group.error.value, nan=2.0), group.name))
