"""Metrics on scores. Needs only NumPy.

>>> from cmfl_export.metrics import d_eer
>>> d_eer([0.9, 0.8, 0.3, 0.1], [True, True, False, False]).rate
0.0
"""

from __future__ import annotations

from .detection import (
    DEer,
    Det,
    OperatingPoint,
    Reliability,
    Roc,
    accuracy,
    apcer,
    apcer_at_bpcer,
    apcer_by_attack,
    auc,
    average_precision,
    bpcer,
    bpcer_at_apcer,
    brier,
    d_eer,
    det,
    ece,
    reliability,
    roc,
    summary,
)
from .intervals import Interval, bootstrap, paired_differences, wilson
from .wording import HEADS, LABELS, difference, figure, percent

__all__ = [
    "HEADS",
    "LABELS",
    "DEer",
    "Det",
    "Interval",
    "OperatingPoint",
    "Reliability",
    "Roc",
    "accuracy",
    "apcer",
    "apcer_at_bpcer",
    "apcer_by_attack",
    "auc",
    "average_precision",
    "bootstrap",
    "bpcer",
    "bpcer_at_apcer",
    "brier",
    "d_eer",
    "det",
    "difference",
    "ece",
    "figure",
    "paired_differences",
    "percent",
    "reliability",
    "roc",
    "summary",
    "wilson",
]
