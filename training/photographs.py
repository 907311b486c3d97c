"""Training on photographs: how a file of the protocol is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from cmfl_export.faces import Aligner
from cmfl_export.images import open_rgb

from .config import TrainConfig

Open = Callable[[str], Image.Image]


@dataclass(frozen=True)
class LargestFace:
    """Opens a photograph as the aligned 224 x 224 crop of its largest face.

    Raises what `open_rgb` and `Aligner` raise: a photograph without a face cannot be used.
    """

    minimum: int
    face_scale: float

    @cached_property
    def aligner(self) -> Aligner:
        # Made where it is first needed, for each loader process shall have its own. The GPU is busy training.
        return Aligner(largest=True, minimum=self.minimum, face_scale=self.face_scale, provider="cpu")

    def __call__(self, path: str) -> Image.Image:
        return self.aligner(open_rgb(path))[0].crop.image


def opener(config: TrainConfig) -> Open:
    """What opens the files of a run: whole pictures, or with `align` faces."""
    return LargestFace(config.min_face, config.face_scale) if config.align else open_rgb
