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
from .intervals import (
    Interval,
    bootstrap,
    bootstrap_of,
    most_errors,
    paired_differences,
    upper_bound,
    wilson,
)
from .responses import response_rates
from .risk_coverage import COVERAGES, RiskCoverage, RiskRanking, risk_coverage
from .wording import HEADS, LABELS, RESPONSES, RISKS, difference, figure, percent

__all__ = [
    "COVERAGES",
    "HEADS",
    "LABELS",
    "RESPONSES",
    "RISKS",
    "DEer",
    "Det",
    "Interval",
    "OperatingPoint",
    "Reliability",
    "RiskCoverage",
    "RiskRanking",
    "Roc",
    "accuracy",
    "apcer",
    "apcer_at_bpcer",
    "apcer_by_attack",
    "auc",
    "average_precision",
    "bootstrap",
    "bootstrap_of",
    "bpcer",
    "bpcer_at_apcer",
    "brier",
    "d_eer",
    "det",
    "difference",
    "ece",
    "figure",
    "most_errors",
    "paired_differences",
    "percent",
    "reliability",
    "response_rates",
    "risk_coverage",
    "roc",
    "summary",
    "upper_bound",
    "wilson",
]
