"""Names and formats of metrics, as people read them."""

from __future__ import annotations

import math

from .intervals import Interval

HEADS = {"p_real": "joint", "p_real_rgb": "rgb", "p_real_spectrum": "spectrum"}

# Labels of the metrics of `metrics.summary`.
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
# Labels of `metrics.response_rates` and of `RiskRanking.figures`.
RESPONSES = {
    "answered": "images answered",
    "apnrr": "APNRR",
    "bpnrr": "BPNRR",
    "apcer": "APCER of the answered",
    "bpcer": "BPCER of the answered",
    "attacks_called_real": "attacks called real, of all attacks",
    "real_called_synthetic": "bona fide called synthetic, of all bona fide",
}
RISKS = {
    "aurc": "area under the risk-coverage curve",
    "risk_at_80": "errors at 80 % answered",
    "risk_at_90": "errors at 90 % answered",
    "risk_at_100": "errors at 100 % answered",
}
# The metrics that are written as percentages.
PERCENTAGES = {
    *("d_eer", "bpcer10", "bpcer20", "bpcer100", "apcer", "bpcer", "accuracy"),
    *(RESPONSES.keys() | RISKS.keys()) - {"aurc"},
}


def percent(value: float) -> str:
    """A rate as a percentage, such as `33.1 %`; `-` for NaN."""
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"


def figure(key: str, interval: Interval) -> str:
    """A metric with its interval, such as `33.1 % [29.4, 36.8]`; `-` for NaN."""
    if math.isnan(interval.value):
        return "-"
    if key in PERCENTAGES:
        return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def difference(key: str, interval: Interval) -> str:
    """A difference with its interval, marked with * if the interval excludes zero."""
    unit, scale, digits = ("points", 100, 1) if key in PERCENTAGES else ("", 1, 3)
    value, low, high = (f"{scale * x:+.{digits}f}" for x in interval)
    star = "*" if interval.low > 0 or interval.high < 0 else " "
    return f"{value} {unit}".rstrip() + f" [{low}, {high}]{star}"
