"""What is said about one input: its scores, or why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..images import Status


@dataclass(frozen=True, slots=True)
class Prediction:
    """One result row. Scores are P(real) in [0, 1]; None where there is none.

    `decision` is `real` or `synthetic` by the model's threshold. Where faces were looked for, `face` is the
    number of this one, 0 for the largest, of `faces` that its picture has rows of, and `box` its left, top,
    right and bottom in pixels of the upright picture. `extras` holds the optional outputs of the model
    (embedding, spectrum, heatmaps) where they were asked for; it is no column.
    """

    path: str
    p_real: float | None = None
    p_real_rgb: float | None = None
    p_real_spectrum: float | None = None
    decision: str | None = None
    status: Status = Status.OK
    error: str = ""
    face: int | None = None
    faces: int | None = None
    box: tuple[float, float, float, float] | None = None
    extras: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    @property
    def ok(self) -> bool:
        return self.status is Status.OK

    @property
    def is_last(self) -> bool:
        """Whether it is the last row of its input, which has one for each face."""
        return self.face is None or self.faces is None or self.face + 1 >= self.faces
