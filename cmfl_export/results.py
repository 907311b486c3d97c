"""What is said about one input: a status, and where it could be scored, three probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np


class Status(StrEnum):
    """Why an input has, or has not, a score."""

    OK = "ok"
    NOT_FOUND = "not_found"
    NOT_A_FILE = "not_a_file"
    PERMISSION_DENIED = "permission_denied"
    EMPTY = "empty"
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Prediction:
    """One result row. Scores are P(real) in [0, 1]; None where there is none.

    `decision` is `real` or `synthetic` by the model's threshold. `extras` holds the optional outputs
    of the model (embedding, spectrum, heatmaps) where they were asked for; it is no column.
    """

    path: str
    p_real: float | None = None
    p_real_rgb: float | None = None
    p_real_spectrum: float | None = None
    decision: str | None = None
    status: Status = Status.OK
    error: str = ""
    extras: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    @property
    def ok(self) -> bool:
        return self.status is Status.OK
