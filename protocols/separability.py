"""How well a property alone tells the classes apart: AUC with an interval, cross-validated where learnt."""

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
# Two-sided 99.9 %: a report looks at a hundred properties and groups, and shall not cry wolf.
_Z = 3.29


class Auc(NamedTuple):
    """An area under the ROC curve: 0.5 says nothing about the class, 1 tells it. `low` and `high`: 99.9 %."""

    value: float
    low: float
    high: float


def ordered(values: npt.ArrayLike, is_real: Bools) -> Auc:
    """How well one threshold on a number separates the classes, in the better of the two directions.

    Args:
        values: [N] finite numbers.
        is_real: [N]; both classes are present.
    """
    numbers = np.asarray(values, np.float64)
    area = _area(numbers, is_real)
    return _with_interval(max(area, 1 - area), is_real, _untied(numbers))


def categorical(labels: npt.NDArray[np.str_], is_real: Bools, folds: Folds) -> Auc:
    """How well the class frequency of each label, learnt on the other folds, separates the classes.

    Args:
        labels: [N].
        is_real: [N]; both classes are present.
        folds: [N], from `split_folds`.
    """
    _, code = np.unique(labels, return_inverse=True)
    count = int(code.max()) + 1

    def score(train: Bools, test: Bools) -> Floats:
        real, attack = (np.bincount(code[train & side], minlength=count) for side in (is_real, ~is_real))
        # A label not met in training scores 0; the half keeps rare ones near it.
        ratio = np.log((real + 0.5) / (real.sum() + 0.5)) - np.log((attack + 0.5) / (attack.sum() + 0.5))
        ratio[(real == 0) & (attack == 0)] = 0
        return np.asarray(ratio[code[test]], np.float64)

    return _cross_validated(score, is_real, folds, _untied(code))


def learnt(features: Floats, is_real: Bools, folds: Folds) -> Auc:
    """How well a logistic regression on standardised features separates the classes, cross-validated.

    Args:
        features: [N, F].
        is_real: [N]; both classes are present.
        folds: [N], from `split_folds`.

    Raises:
        CmflError: scikit-learn is not installed.
    """
    require_sklearn()
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    def score(train: Bools, test: Bools) -> Floats:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        # Matrices this small take ten times longer on several threads of a busy machine than on one.
        with threadpool_limits(limits=1):
            model.fit(features[train], is_real[train])
        return np.asarray(model.decision_function(features[test]), np.float64)

    return _cross_validated(score, is_real, folds, 1.0)


def require_sklearn() -> None:
    """Raises the CmflError that names the extra when scikit-learn is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise need("evaluate", "the shortcut audit")


def split_folds(subjects: Sequence[str], is_real: Bools, seed: int) -> Folds:
    """A fold (0..4) for each image: all of a subject in one, both classes spread evenly; `seed` decides.

    Fewer folds when a class has fewer subjects.
    """
    _, subject = np.unique(np.asarray(subjects), return_inverse=True)
    # 1: seen real only, 2: synthetic only, 3: both.
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
    """The mean of the folds' areas, each weighted by its pairs: scores of two models are not compared."""
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
    """P(a real image scores higher than a synthetic one), ties counted half."""
    _, place = np.unique(scores, return_inverse=True)
    real, attack = (np.bincount(place[side], minlength=place.max() + 1) for side in (is_real, ~is_real))
    below = np.cumsum(attack) - attack
    return float((real * (below + attack / 2)).sum() / (real.sum() * attack.sum()))


def _untied(values: npt.NDArray[np.generic]) -> float:
    """The factor by which ties lower the rank statistic's variance (Mann-Whitney's correction), 0..1."""
    _, counts = np.unique(values, return_counts=True)
    count = len(values)
    return float(1 - (counts.astype(np.float64) ** 3 - counts).sum() / (float(count) ** 3 - count))


def _with_interval(area: float, is_real: Bools, untied: float) -> Auc:
    """Newcombe's interval for an AUC (Statistics in Medicine 25, 2006, p. 559, method 5), corrected for ties.

    The ends are the areas whose own Hanley-McNeil standard error just reaches to `area`. Unlike a bootstrap
    it stays wide when five images of each class happen to be separated perfectly.
    """
    real = int(is_real.sum())
    attack = len(is_real) - real
    more = (real + attack) / 2 - 1

    def reaches(end: float) -> bool:
        variance = untied * end * (1 - end) * (1 + more * ((1 - end) / (2 - end) + end / (1 + end)))
        return abs(end - area) <= _Z * math.sqrt(variance / (real * attack))

    return Auc(area, _border(reaches, area, 0.0), _border(reaches, area, 1.0))


def _border(reaches: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where `reaches` stops holding between the two, to 1e-6; `outside` itself when it does not stop."""
    for _ in range(20):
        middle = (inside + outside) / 2
        if reaches(middle):
            inside = middle
        else:
            outside = middle
    return inside
