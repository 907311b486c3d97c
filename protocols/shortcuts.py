"""The shortcut audit: measures how well each property alone tells real from synthetic, without the face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from .encoding import Encoding
from .properties import PROPERTIES, Kind, Property, typical
from .separability import Auc, Bools, Folds, categorical, learnt, ordered, split_folds
from .traces import Traces

# With fewer images of a class the audit would say nothing.
SMALLEST_CLASS = 10

# Bounds on the low end of the AUC's interval. A property of the files should not be above 0.5: 0.55 means
# that a tenth of the images of one class is marked.
_FILE_WEAK = 0.51
_FILE_SHORTCUT = 0.55
# A signal in the pixels may come from the generator. Measured: classes through one pipeline reach 0.69
# (spectrum) and 0.86 (thumbnail); with two resize kernels 0.93 to 1.00 (spectrum), with different framing
# 0.98 (thumbnail).
_SIGNAL_WEAK = 0.70
_SUSPICIOUS_AUC = 0.90
_SUSPICIOUS_LOW = 0.80


class Level(StrEnum):
    """The severity of a result, from harmless to fatal."""

    OK = "ok"
    WEAK = "weak"  # separates a little: a warning
    SUSPICIOUS = "suspicious"  # separates almost perfectly; may be a generator's own trace, so look into it
    SHORTCUT = "shortcut"  # a property of the files separates the classes: the check fails


SEVERITY = {level: number for number, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Audited:
    """One image of the audit's sample."""

    split: str
    subject: str
    attack_type: str
    encoding: Encoding
    traces: Traces


@dataclass(frozen=True, slots=True)
class Separation:
    """How well one property separates real images of a split from an attack type (empty: from all attacks).

    `real` and `synthetic` are typical values of each class; empty if no single value is typical.
    """

    split: str
    attack_type: str
    property: str
    kind: Kind
    level: Level
    auc: float
    low: float
    high: float
    real: str
    synthetic: str
    advice: str


def audit(images: Sequence[Audited], *, seed: int = 0) -> list[Separation]:
    """Returns every property in every split, against all attacks and each attack type, worst first.

    Groups with fewer than 10 images of a class are left out.

    Raises:
        PackageError: scikit-learn is missing.
    """
    results = []
    for split in dict.fromkeys(image.split for image in images):
        members = [image for image in images if image.split == split]
        attacks = sorted({image.attack_type for image in members} - {""})
        for attack in ["", *attacks] if len(attacks) > 1 else [""]:
            group = [image for image in members if not attack or image.attack_type in ("", attack)]
            is_real = np.array([not image.attack_type for image in group])
            if min(is_real.sum(), (~is_real).sum()) >= SMALLEST_CLASS:
                folds = split_folds([image.subject for image in group], is_real, seed)
                results += [_separation(one, group, is_real, folds, split, attack) for one in PROPERTIES]
    return sorted(results, key=lambda result: (-SEVERITY[result.level], -result.low))


def _separation(
    one: Property, group: Sequence[Audited], is_real: Bools, folds: Folds, split: str, attack: str
) -> Separation:
    candidates: list[tuple[Auc, str, str]] = []
    if one.features is not None:
        features = np.stack([one.features(image.encoding, image.traces) for image in group])
        candidates.append((learnt(features, is_real, folds), "", ""))
    if one.number is not None:
        numbers = np.array([one.number(image.encoding, image.traces) for image in group])
        real, synthetic = (f"{np.median(numbers[side]):.3g}" for side in (is_real, ~is_real))
        candidates.append((ordered(numbers, is_real), real, synthetic))
    if one.label is not None:
        labels = np.array([one.label(image.encoding, image.traces) for image in group])
        real, synthetic = (typical(labels[side]) for side in (is_real, ~is_real))
        candidates.append((categorical(labels, is_real, folds), real, synthetic))
    # If number and label separate equally well, the label (the last) is clearer.
    area, real, synthetic = max(reversed(candidates), key=lambda candidate: candidate[0].low)
    return Separation(
        split=split,
        attack_type=attack,
        property=one.name,
        kind=one.kind,
        level=_level(one.kind, area),
        auc=area.value,
        low=area.low,
        high=area.high,
        real=real,
        synthetic=synthetic,
        advice=one.advice,
    )


def _level(kind: Kind, area: Auc) -> Level:
    if kind is Kind.SIGNAL:
        if area.value >= _SUSPICIOUS_AUC and area.low >= _SUSPICIOUS_LOW:
            return Level.SUSPICIOUS
        return Level.WEAK if area.low >= _SIGNAL_WEAK else Level.OK
    if kind is Kind.FILE and area.low >= _FILE_SHORTCUT:
        return Level.SHORTCUT
    return Level.WEAK if area.low > _FILE_WEAK else Level.OK
