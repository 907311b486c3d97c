"""From a picture to the model's inputs, each with what its row says of how it was made."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..images import SIZE, ImageLike, fit, open_rgb, opened
from ..runtime import Geometry, pipeline
from .aligner import AlignedAlready, AlignedFace, Aligner


class InputGeometry(NamedTuple):
    """How a picture became an input; `size`, `found` and `face` are None where it was not searched.

    Attributes:
        geometry: see `Geometry`.
        size: the shorter side of the face's box in the picture.
        found: the number of faces in the picture.
        face: the face, if it was aligned.
    """

    geometry: Geometry
    size: float | None = None
    found: int | None = None
    face: AlignedFace | None = None


class ModelInputs:
    """Makes the inputs of pictures. Safe to share between threads."""

    def __init__(
        self, aligner: Aligner | None, *, auto: bool, aligned: bool, checked: bool, max_pixels: int
    ) -> None:
        """Takes how pictures become inputs.

        Args:
            aligner: finds the faces; None looks for none.
            auto: leave crops that are aligned already as they are.
            aligned: the geometry of pictures that are not aligned here, see `cmfl_export.images.fit`.
            checked: whether the inputs come with their `InputGeometry`.
            max_pixels: see `open_rgb`.
        """
        self._aligner = aligner
        self._auto = auto
        self._aligned = aligned
        self._checked = checked
        self._max_pixels = max_pixels

    def __call__(self, picture: ImageLike) -> list[pipeline.Decoded]:
        """The inputs of a picture, one or more; `about` is their `InputGeometry`, or None.

        Raises:
            ImageError: the picture cannot be scored.
            TypeError: `picture` has another type.
            ProviderError: a network that looks for faces failed to run.
        """
        if self._aligner is not None and not self._auto:
            return list(map(_of_face, self._aligner(open_rgb(picture, max_pixels=self._max_pixels))))
        with opened(picture, max_pixels=self._max_pixels) as image:
            seen = None if self._aligner is None else self._aligner.unless_aligned(image)
            if isinstance(seen, list):
                return list(map(_of_face, seen))
            about = _as_it_is(image.size, seen) if self._checked else None
            return [pipeline.Decoded(np.array(fit(image, aligned=self._aligned)), about)]


def _of_face(face: AlignedFace) -> pipeline.Decoded:
    about = InputGeometry("aligned", face.face.shorter_side, face.found, face)
    return pipeline.Decoded(np.array(face.crop.image), about)


def _as_it_is(size: tuple[int, int], seen: AlignedAlready | None) -> InputGeometry:
    """The geometry of a picture that was not aligned."""
    geometry: Geometry = "crop" if size == (SIZE, SIZE) else "middle" if seen is None else "resized"
    if seen is None:
        return InputGeometry(geometry)
    return InputGeometry(geometry, None if seen.face is None else seen.face.shorter_side, seen.found)
