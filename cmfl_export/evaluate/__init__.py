"""From scores to ISO/IEC 30107-3 figures: evaluation and calibration.

>>> from cmfl_export.evaluate import evaluate
>>> found = evaluate(["starter"], "out", protocol="protocol/", data_root="faces/")  # doctest: +SKIP
"""

from __future__ import annotations

from .calibration import Calibration, calibrate
from .outcome import Evaluation
from .run import evaluate
from .scored import Scored, read_scores

__all__ = ["Calibration", "Evaluation", "Scored", "calibrate", "evaluate", "read_scores"]
