"""Finds the faces in a photograph by the three stages of MTCNN.

K. Zhang, Z. Zhang, Z. Li, Y. Qiao: Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks. IEEE Signal Processing Letters 2016.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..base.errors import UsageError
from ..base.options import DetectorOptions
from .mtcnn import FaceNetworks

Boxes = NDArray[np.float64]  # [n, 4]: left, top, right, bottom

MINIMUM = DetectorOptions.minimum_face
# A picture whose longer side is above this is searched in a copy of this size: a hundred megapixels would
# take half a minute. The smallest face that is found then grows with the picture.
LONGEST = 1600

# Sides of the input windows of the three networks.
_P, _R, _O = 12, 24, 48
_STRIDE = 2
# As in the reference implementation: the factor between two levels of the pyramid; the least probability of a
# face after each network; the largest overlap of two candidates, within a level and after each network.
_STEP = 0.709
_FACE_P, _FACE_R, _FACE_O = 0.6, 0.7, 0.7
_OVERLAP_LEVEL, _OVERLAP_P, _OVERLAP_R, _OVERLAP_O = 0.5, 0.7, 0.7, 0.7


@dataclass(frozen=True, slots=True)
class Face:
    """One face. Positions are in pixels of the picture; the centre of its first pixel is (0.5, 0.5).

    Attributes:
        box: left, top, right, bottom; may reach beyond the picture.
        landmarks: float64 [5, 2], (x, y) of the eyes, the nose and the corners of the mouth; of each pair,
            the one further left in the picture comes first.
        confidence: in [0, 1].
    """

    box: tuple[float, float, float, float]
    landmarks: NDArray[np.float64]
    confidence: float

    @property
    def shorter_side(self) -> float:
        """The shorter side of the box, rounded to a tenth of a pixel as in rows."""
        left, top, right, bottom = self.box
        return round(max(min(right - left, bottom - top), 0.0), 1)

    @property
    def size(self) -> float:
        """The side of a square with the area of the box."""
        left, top, right, bottom = self.box
        return float(np.sqrt(max(right - left, 0.0) * max(bottom - top, 0.0)))


class FaceFinder:
    """Finds the faces in a picture. Safe to share between threads."""

    def __init__(self, *, provider: str = "auto", threads: int = 1, minimum: int = MINIMUM) -> None:
        """Loads the networks.

        Args:
            provider, threads: see `FaceNetworks`. One thread is best if pictures are searched in parallel.
            minimum: side of the smallest face to look for, at least 12, in pixels of the picture, or of its
                copy if the picture is larger than LONGEST. 40 is twice as fast as 20.

        Raises:
            UsageError: `minimum` is below 12.
            PackageError, ProviderError: the networks cannot be loaded, see `FaceNetworks`.
        """
        if minimum < _P:
            raise UsageError(f"the smallest face must be at least {_P} pixels, not {minimum}")
        self._networks = FaceNetworks(provider, threads)
        self.provider = self._networks.provider
        self.minimum = minimum

    def find(self, picture: Image.Image) -> list[Face]:
        """The faces in an RGB picture, the largest first; of equally large faces, the leftmost first.

        Raises:
            ProviderError: a network failed to run, for instance for lack of GPU memory.
        """
        shrunk = _at_most(picture, LONGEST)
        boxes = self._proposed(shrunk)
        if len(boxes):
            boxes = self._refined(shrunk, boxes)
        faces = self._located(shrunk, boxes, picture.width / shrunk.width) if len(boxes) else []
        # Sizes are rounded to whole pixels, so that rounding errors do not decide the order.
        return sorted(faces, key=lambda face: (-round(face.size), face.box[0]))

    def face_in(self, picture: Image.Image, square: Sequence[float]) -> Face | None:
        """The face that about fills a square of an RGB picture, if there is one; far faster than `find`.

        Args:
            picture: RGB.
            square: left, top, right and bottom; the third network looks at it alone.

        Raises:
            ProviderError: the network failed to run.
        """
        faces = self._located(picture, np.array([square], np.float64), 1.0)
        return faces[0] if faces else None

    def _proposed(self, picture: Image.Image) -> Boxes:
        """First stage: P-Net on every level of the pyramid."""
        found, probabilities, offsets = [], [], []
        for level, scale in self._pyramid(picture):
            faces, offset = self._networks.propose(_normalised(np.asarray(level))[None])
            rows, columns = np.nonzero(faces >= _FACE_P)
            first = np.stack([columns, rows], axis=1) * _STRIDE
            # From the window's first to its last pixel, counted from 1 and rounded down, as the networks'
            # authors did and as the next networks expect.
            boxes = np.hstack([np.floor((first + 1) / scale) - 1, np.floor((first + _P) / scale)])
            kept = suppress(boxes, faces[rows, columns], _OVERLAP_LEVEL)
            rows, columns = rows[kept], columns[kept]
            found.append(boxes[kept])
            probabilities.append(faces[rows, columns])
            offsets.append(offset[rows, columns])
        if not found:
            return np.empty((0, 4))
        boxes = np.concatenate(found)
        kept = suppress(boxes, np.concatenate(probabilities), _OVERLAP_P)
        return _squares(_moved(boxes[kept], np.concatenate(offsets)[kept]))

    def _pyramid(self, picture: Image.Image) -> Iterator[tuple[Image.Image, float]]:
        """Yields ever smaller copies of the picture, with their scales, down to P-Net's window."""
        scale = _P / self.minimum
        while min(picture.size) * scale >= _P:
            size = int(picture.width * scale + 1), int(picture.height * scale + 1)
            yield picture.resize(size, Image.Resampling.BOX), scale
            scale *= _STEP

    def _refined(self, picture: Image.Image, boxes: Boxes) -> Boxes:
        """Second stage: R-Net on every candidate."""
        verdict = self._networks.refine(_crops(picture, boxes, _R))
        (passed,) = np.nonzero(verdict.faces > _FACE_R)
        passed = passed[suppress(boxes[passed], verdict.faces[passed], _OVERLAP_R)]
        return _squares(_moved(boxes[passed], verdict.offsets[passed]))

    def _located(self, picture: Image.Image, boxes: Boxes, enlarge: float) -> list[Face]:
        """Third stage: O-Net on the remaining candidates, which also finds the landmarks."""
        verdict = self._networks.locate(_crops(picture, boxes, _O))
        assert verdict.landmarks is not None
        (passed,) = np.nonzero(verdict.faces > _FACE_O)
        corners, sides = boxes[passed, None, :2], (boxes[:, 2:] - boxes[:, :2])[passed, None]
        landmarks = corners + verdict.landmarks[passed] * sides
        boxes, faces = _moved(boxes[passed], verdict.offsets[passed]), verdict.faces[passed]
        # A box inside another box is the same face.
        return [
            Face(tuple((boxes[number] * enlarge).tolist()), landmarks[number] * enlarge, float(faces[number]))
            for number in suppress(boxes, faces, _OVERLAP_O, of_smaller=True)
        ]


def suppress(
    boxes: Boxes, probabilities: NDArray[np.float32], overlap: float, *, of_smaller: bool = False
) -> NDArray[np.intp]:
    """Non-maximum suppression: the indices of the boxes to keep, the most probable first.

    Args:
        boxes: float64 [n, 4].
        probabilities: float32 [n].
        overlap: a box is dropped if its overlap with a more probable box that is kept exceeds this.
        of_smaller: measure the overlap as a share of the smaller box instead of the union.
    """
    left, top, right, bottom = boxes.T
    area = (right - left) * (bottom - top)
    waiting = np.argsort(-probabilities, kind="stable")
    kept = []
    while waiting.size:
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        width = np.minimum(right[best], right[waiting]) - np.maximum(left[best], left[waiting])
        height = np.minimum(bottom[best], bottom[waiting]) - np.maximum(top[best], top[waiting])
        common = np.maximum(width, 0.0) * np.maximum(height, 0.0)
        union = area[best] + area[waiting] - common
        whole = np.minimum(area[best], area[waiting]) if of_smaller else union
        waiting = waiting[common <= overlap * whole]
    return np.array(kept, np.intp)


def _at_most(picture: Image.Image, longest: int) -> Image.Image:
    scale = longest / max(picture.size)
    if scale >= 1:
        return picture
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.BOX)


def _crops(picture: Image.Image, boxes: Boxes, side: int) -> NDArray[np.float32]:
    """The candidates as input of a network, float32 [n, side, side, 3]; black outside the picture."""
    crops = [
        picture.crop(box).resize((side, side), Image.Resampling.BOX).tobytes()
        for box in np.floor(boxes).astype(int).tolist()
    ]
    return _normalised(np.frombuffer(b"".join(crops), np.uint8).reshape(-1, side, side, 3))


def _normalised(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (pixels - np.float32(127.5)) / np.float32(128)


def _moved(boxes: Boxes, offsets: NDArray[np.float32]) -> Boxes:
    """The boxes, corrected by a network's offsets."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * np.hstack([sides, sides])


def _squares(boxes: Boxes) -> Boxes:
    """Squares with the centres of the boxes and the lengths of their longer sides."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    half = np.maximum(half.max(axis=1, keepdims=True), 0.5)
    return np.hstack([middle - half, middle + half])
