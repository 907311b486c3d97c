"""The result for one input: its scores, or why it has none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..images import Status
from .columns import KINDS, Geometry

_BOX = ("left", "top", "right", "bottom")


@dataclass(frozen=True, slots=True)
class Prediction:
    """One result row.

    Attributes:
        path: the input; "" if it came without a path.
        p_real, p_real_rgb, p_real_spectrum: scores, P(real) in [0, 1]; None where there is none.
        decision: `real` or `synthetic`, by the model's threshold; `uncertain` within its band, and where
            `stability` finds that it flips; None without a score.
        status, error: whether the input has a score, and what is wrong with it.
        face, faces: where faces were searched for: the number of this face, 0 for the largest, and the
            number of faces that its picture has rows for.
        box: left, top, right and bottom of the face, in pixels of the upright picture.
        geometry: how the picture became the model's input, where faces were looked for.
        face_size: the shorter side of the face's box, in pixels of the picture.
        faces_found: how many faces the picture has; None where it was not searched.
        domain: how far the image lies from the model's training images: the percentage of these that are
            nearer, 0 to 100; None where the model does not know them, or without a score.
        out_of_domain: whether it lies so far from them that the score has no basis.
        spread, flips: with the option `stability`: how far the score moves when the image is encoded or
            resized once more, and how many of these changes give another decision (see `stability`).
        source_type, generator, c2pa_state, colour_profile: what the file says of its picture, where that was
            asked for; see `cmfl_export.provenance.Provenance`.
        time: of a frame that was taken from a video: when it is shown, in seconds.
        track: the number of its face's track within the video, from 0; see `cmfl_export.predict.clips`.
        frames: of a video's own row: how many frames were taken.
        frames_with_face: in how many of them a face was found; None where none was looked for.
        share_synthetic: the share of its scored frames that were decided synthetic.
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
    geometry: Geometry | None = None
    face_size: float | None = None
    faces_found: int | None = None
    domain: float | None = None
    out_of_domain: bool | None = None
    spread: float | None = None
    flips: int | None = None
    source_type: str | None = None
    generator: str | None = None
    c2pa_state: str | None = None
    colour_profile: str | None = None
    time: float | None = None
    track: int | None = None
    frames: int | None = None
    frames_with_face: int | None = None
    share_synthetic: float | None = None
    extras: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the input has a score."""
        return self.status.has_score

    @property
    def is_last(self) -> bool:
        """Whether this is the last row of its input, which may have one row per face."""
        return self.face is None or self.faces is None or self.face + 1 >= self.faces

    def record(self, columns: Sequence[str]) -> dict[str, Any]:
        """Returns the row's values by column; scores have the fewest digits that give the same float32.

        Args:
            columns: see `columns_with`.
        """
        box = dict(zip(_BOX, self.box or (None,) * 4, strict=True))
        return {name: box[name] if name in box else self._value(name) for name in columns}

    def _value(self, column: str) -> Any:
        value = getattr(self, column)
        if column == "status":
            return self.status.value
        return _score(value) if KINDS[column] == "score" else value


def _score(value: float | None) -> float | None:
    """Returns the float64 with the shortest digits of the float32: 0.1, not 0.10000000149011612."""
    return None if value is None or not math.isfinite(value) else float(str(np.float32(value)))
