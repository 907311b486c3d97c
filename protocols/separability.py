"""Measures how well one property separates the classes: AUC with an interval, cross-validated if learnt."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cmfl_export.base.errors import need

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Folds = npt.NDArray[np.int64]

FOLDS = 5
# Two-sided 99.9 %: a report has a hundred results, and few of them should be false alarms.
_Z = 3.29


class Auc(NamedTuple):
    """An area under the ROC curve (0.5: no separation, 1: perfect) and the ends of its 99.9 % interval."""

    value: float
    low: float
    high: float


def ordered(values: npt.ArrayLike, is_real: Bools) -> Auc:
    """Measures how well a threshold on a number separates the classes, in the better direction.

    Args:
        values: [N] finite numbers.
        is_real: [N]; both classes are present.
    """
    numbers = np.asarray(values, np.float64)
    area = _area(numbers, is_real)
    return _with_interval(max(area, 1 - area), is_real, _untied(numbers))


def categorical(labels: npt.NDArray[np.str_], is_real: Bools, folds: Folds) -> Auc:
    """Measures how well the class frequency of each label, learnt on the other folds, separates the classes.

    Args:
        labels: [N].
        is_real: [N]; both classes are present.
        folds: [N], from `split_folds`.
    """
    _, code = np.unique(labels, return_inverse=True)
    count = int(code.max()) + 1

    def score(train: Bools, test: Bools) -> Floats:
        real, attack = (np.bincount(code[train & side], minlength=count) for side in (is_real, ~is_real))
        # A label that is not in the other folds scores 0; the added half keeps rare labels near 0.
        ratio = np.log((real + 0.5) / (real.sum() + 0.5)) - np.log((attack + 0.5) / (attack.sum() + 0.5))
        ratio[(real == 0) & (attack == 0)] = 0
        return np.asarray(ratio[code[test]], np.float64)

    return _cross_validated(score, is_real, folds, _untied(code))


def learnt(features: Floats, is_real: Bools, folds: Folds) -> Auc:
    """Measures how well a logistic regression on standardised features separates the classes.

    Args:
        features: [N, F].
        is_real: [N]; both classes are present.
        folds: [N], from `split_folds`, for cross-validation.

    Raises:
        PackageError: scikit-learn is missing.
    """
    require_sklearn()
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    def score(train: Bools, test: Bools) -> Floats:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        # On a busy machine, matrices this small take ten times longer on several threads than on one.
        with threadpool_limits(limits=1):
            model.fit(features[train], is_real[train])
        return np.asarray(model.decision_function(features[test]), np.float64)

    return _cross_validated(score, is_real, folds, 1.0)


def require_sklearn() -> None:
    """Refuses to run without scikit-learn.

    Raises:
        PackageError: it is missing; names the extra that brings it.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise need("evaluate", "the shortcut audit")


def split_folds(subjects: Sequence[str], is_real: Bools, seed: int) -> Folds:
    """Returns a fold (0..4) for each image, drawn by `seed`: one per subject, with both classes spread
    evenly.

    There are fewer folds if a class has fewer subjects.
    """
    _, subject = np.unique(np.asarray(subjects), return_inverse=True)
    # Images of the subject: 1 only real, 2 only synthetic, 3 both.
    kind = np.zeros(int(subject.max()) + 1, np.int64)
    np.bitwise_or.at(kind, subject, np.where(is_real, 1, 2))
    folds = min(FOLDS, *(len(np.unique(subject[side])) for side in (is_real, ~is_real)))
    fold_of = np.zeros(len(kind), np.int64)
    rng = np.random.default_rng(seed)
    for one in (1, 2, 3):
        members = rng.permutation(np.flatnonzero(kind == one))
        fold_of[members] = np.arange(len(members)) % folds
    return fold_of[subject]


def _cross_validated(
    score: Callable[[Bools, Bools], Floats], is_real: Bools, folds: Folds, untied: float
) -> Auc:
    """Averages the areas of the folds, weighted by pairs; scores of different models are not compared."""
    areas, weights = [], []
    for fold in range(int(folds.max()) + 1):
        test = folds == fold
        real, attack = (int((test & side).sum()) for side in (is_real, ~is_real))
        learns_both = 0 < is_real[~test].sum() < (~test).sum()
        if real and attack and learns_both:
            areas.append(_area(score(~test, test), is_real[test]))
            weights.append(real * attack)
    if not areas:
        return Auc(0.5, 0.0, 1.0)
    return _with_interval(float(np.average(areas, weights=weights)), is_real, untied)


def _area(scores: Floats, is_real: Bools) -> float:
    """Returns P(a real image scores higher than a synthetic one); ties count half."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_real, scores))


def _untied(values: npt.NDArray[np.generic]) -> float:
    """Returns the factor (0..1) by which ties lower the variance (Mann-Whitney's correction)."""
    _, counts = np.unique(values, return_counts=True)
    count = len(values)
    return float(1 - (counts.astype(np.float64) ** 3 - counts).sum() / (float(count) ** 3 - count))


def _with_interval(area: float, is_real: Bools, untied: float) -> Auc:
    """Returns Newcombe's interval for an AUC (Statistics in Medicine 25, 2006, p. 559, method 5), with ties.

    The ends are the areas whose own Hanley-McNeil interval just contains `area`. Unlike a bootstrap it stays
    wide when five images of each class happen to be separated perfectly.
    """
    real = int(is_real.sum())
    attack = len(is_real) - real
    more = (real + attack) / 2 - 1

    def reaches(end: float) -> bool:
        variance = untied * end * (1 - end) * (1 + more * ((1 - end) / (2 - end) + end / (1 + end)))
        return abs(end - area) <= _Z * math.sqrt(variance / (real * attack))

    return Auc(area, _border(reaches, area, 0.0), _border(reaches, area, 1.0))


def _border(reaches: Callable[[float], bool], inside: float, outside: float) -> float:
    """Returns where `reaches` becomes false, to 1e-6; `outside` if it stays true."""
    for _ in range(20):
        middle = (inside + outside) / 2
        if reaches(middle):
            inside = middle
        else:
            outside = middle
    return inside
