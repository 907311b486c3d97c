"""How metrics are called and written for a person."""

from __future__ import annotations

import math

from .intervals import Interval

HEADS = {"p_real": "joint", "p_real_rgb": "rgb", "p_real_spectrum": "spectrum"}

# The metrics of `metrics.summary` as a person reads them; thresholds and scores are no percentages.
LABELS = {
    "d_eer": "D-EER",
    "d_eer_threshold": "threshold of the D-EER",
    "bpcer10": "BPCER at APCER 10 %",
    "bpcer20": "BPCER at APCER 5 %",
    "bpcer100": "BPCER at APCER 1 %",
    "apcer": "APCER at the threshold",
    "bpcer": "BPCER at the threshold",
    "auc": "AUC",
    "average_precision": "average precision",
    "accuracy": "accuracy at the threshold",
    "ece": "ECE",
    "brier": "Brier score",
}
PERCENTAGES = {"d_eer", "bpcer10", "bpcer20", "bpcer100", "apcer", "bpcer", "accuracy"}


def percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"


def figure(key: str, interval: Interval) -> str:
    """A metric with its interval: `33.1 % [29.4, 36.8]`."""
    if math.isnan(interval.value):
        return "-"
    if key in PERCENTAGES:
        return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def difference(key: str, interval: Interval) -> str:
    """A difference with its interval, marked with * where the interval leaves out zero."""
    unit, scale, digits = ("points", 100, 1) if key in PERCENTAGES else ("", 1, 3)
    value, low, high = (f"{scale * x:+.{digits}f}" for x in interval)
    star = "*" if interval.low > 0 or interval.high < 0 else " "
    return f"{value} {unit}".rstrip() + f" [{low}, {high}]{star}"
