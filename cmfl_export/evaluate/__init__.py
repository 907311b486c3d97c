"""Evaluates scores by the metrics of ISO/IEC 30107-3, and calibrates models.

>>> from cmfl_export.evaluate import evaluate
>>> found = evaluate(["starter"], "out", protocol="protocol/", data_root="faces/")  # doctest: +SKIP
"""

from __future__ import annotations

from .calibration import Calibration, calibrate
from .labelled_scores import Scored, read_scores
from .outcome import Evaluation
from .run import evaluate

__all__ = ["Calibration", "Evaluation", "Scored", "calibrate", "evaluate", "read_scores"]
