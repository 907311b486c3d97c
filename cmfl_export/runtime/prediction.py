"""The result for one input: its scores, or why it has none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..images import Status

# The columns of a row. Rows of faces in photographs also have the number of the face (from 0), the number of
# faces, and the face's box in pixels.
COLUMNS = ("path", "p_real", "p_real_rgb", "p_real_spectrum", "decision", "status", "error")
FACE_COLUMNS = ("face", "faces", "left", "top", "right", "bottom")


@dataclass(frozen=True, slots=True)
class Prediction:
    """One result row.

    Attributes:
        path: the input; "" if it came without a path.
        p_real, p_real_rgb, p_real_spectrum: scores, P(real) in [0, 1]; None where there is none.
        decision: `real`, `synthetic` or, within a model's band, `uncertain`; None without a score.
        status, error: whether the input has a score, and if not, why.
        face, faces: where faces were searched for: the number of this face, 0 for the largest, and the
            number of faces that its picture has rows for.
        box: left, top, right and bottom of the face, in pixels of the upright picture.
        extras: the model's optional outputs (embedding, spectrum, heatmaps) by name, if requested; not a
            column of the results.
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
        """Whether the input has a score."""
        return self.status is Status.OK

    @property
    def is_last(self) -> bool:
        """Whether this is the last row of its input, which may have one row per face."""
        return self.face is None or self.faces is None or self.face + 1 >= self.faces

    def record(self, columns: Sequence[str]) -> dict[str, Any]:
        """Returns the row's values by column; scores have the fewest digits that give the same float32.

        Args:
            columns: `COLUMNS`, or these and `FACE_COLUMNS`.
        """
        scores = map(_score, (self.p_real, self.p_real_rgb, self.p_real_spectrum))
        values = (self.path, *scores, self.decision, self.status.value, self.error)
        of_face = (self.face, self.faces, *(self.box or (None,) * 4))
        return dict(zip(columns, (*values, *of_face), strict=False))


def _score(value: float | None) -> float | None:
    """Returns the float64 with the shortest digits of the float32: 0.1, not 0.10000000149011612."""
    return None if value is None or not math.isfinite(value) else float(str(np.float32(value)))
