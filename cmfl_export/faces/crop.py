"""The geometry of an aligned face: five landmarks brought to their places in a 224 x 224 crop."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..base.options import DetectorOptions
from ..images import SIZE

Points = NDArray[np.float64]  # [n, 2], (x, y)

# ArcFace's template for 112 x 112 (Deng et al., CVPR 2019), times two: left eye, right eye, nose, corners of
# the mouth.
_ARCFACE: Points = 2 * np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
# ArcFace's framing ends at chin and brow. This much of it shows the head about as FFHQ does.
FACE_SCALE = DetectorOptions.face_scale

# The name under which a crop's file says that it was aligned, and how: PNG text, or the beginning of a JPEG
# comment. `protocols.check` looks for it.
MARKER = "cmfl-align"

# What bicubic interpolation reaches beyond the crop, in pixels of the crop.
_MARGIN = 4


class Aligned(NamedTuple):
    """A crop, RGB 224 x 224, and which share of it (0..1) lies outside of the picture and was filled up."""

    image: Image.Image
    padding: float


class Similarity(NamedTuple):
    """(x + iy) -> turn * (x + iy) + shift: a rotation, a scale and a shift, and no reflection."""

    turn: complex
    shift: complex

    @property
    def scale(self) -> float:
        return abs(self.turn)

    def __call__(self, points: Points) -> Points:
        moved = self.turn * _complex(points) + self.shift
        return np.stack([moved.real, moved.imag], axis=1)

    @property
    def inverse(self) -> Similarity:
        return Similarity(1 / self.turn, -self.shift / self.turn)


def template(face_scale: float = FACE_SCALE) -> Points:
    """Where the landmarks are in the crop, float64 [5, 2]. At scale 1 the face is as large as ArcFace's."""
    middle = SIZE / 2
    return middle + face_scale * (_ARCFACE - middle)


def similarity(source: Points, target: Points) -> Similarity:
    """The similarity that brings points nearest to others, by the sum of squared distances.

    The closed form of Umeyama (IEEE TPAMI 1991), which in the plane is a regression on complex numbers.

    Args:
        source, target: float64 [n, 2]; not all points of either are the same.
    """
    a, b = _complex(source), _complex(target)
    from_mean = a - a.mean()
    turn = complex(np.vdot(from_mean, b - b.mean()) / np.vdot(from_mean, from_mean))
    return Similarity(turn, complex(b.mean() - turn * a.mean()))


def align(picture: Image.Image, landmarks: Points, *, face_scale: float = FACE_SCALE) -> Aligned:
    """Cuts a face out of an RGB picture, upright and with its landmarks at their places.

    A face that is larger in the picture than in the crop is first reduced, with its surroundings, by Pillow's
    antialiased bicubic filter; then one affine bicubic interpolation turns and shifts it. What lies outside
    of the picture is filled by reflection.

    Args:
        picture: RGB.
        landmarks: float64 [5, 2], as in `Face`; not all the same.
        face_scale: see `template`.
    """
    to_crop = similarity(landmarks, template(face_scale))
    corners = np.array([[0, 0], [SIZE, 0], [0, SIZE], [SIZE, SIZE]], np.float64)
    # The part of the picture that the crop shows, and a little more.
    seen, reach = to_crop.inverse(corners), _MARGIN / to_crop.scale
    wanted = np.array([np.floor(seen.min(axis=0) - reach), np.ceil(seen.max(axis=0) + reach)])
    there = wanted.clip(0, picture.size)
    return Aligned(_cut(picture, to_crop, wanted, there), _outside(to_crop.inverse, picture.size))


def _cut(picture: Image.Image, to_crop: Similarity, wanted: Points, there: Points) -> Image.Image:
    """The crop from the part `wanted` of a picture, which has only `there` of it ([2, 2]: corners)."""
    reduction = min(to_crop.scale, 1.0)
    width, height = (max(1, math.ceil(side * reduction)) for side in there[1] - there[0])
    left, top, right, bottom = there.ravel().tolist()
    region = picture.resize((width, height), Image.Resampling.BICUBIC, (left, top, right, bottom))
    across, down = np.array([width, height]) / (there[1] - there[0])
    before = np.ceil((there[0] - wanted[0]) * (across, down)).astype(int)
    after = np.ceil((wanted[1] - there[1]) * (across, down)).astype(int)
    margins = [*zip(before[::-1].tolist(), after[::-1].tolist(), strict=True), (0, 0)]
    padded = np.pad(np.asarray(region), margins, mode="symmetric")
    back = to_crop.inverse
    # Where the first pixel of the padded region is in the picture.
    x, y = there[0] - before / (across, down)
    matrix = (
        across * back.turn.real,
        -across * back.turn.imag,
        across * (back.shift.real - x),
        down * back.turn.imag,
        down * back.turn.real,
        down * (back.shift.imag - y),
    )
    return Image.fromarray(padded).transform(
        (SIZE, SIZE), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )


def _outside(back: Similarity, size: tuple[int, int]) -> float:
    """The share of the crop's pixels whose middle is not in the picture."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    places = back(np.stack([x.ravel(), y.ravel()], axis=1))
    return float(np.mean(((places < 0) | (places > size)).any(axis=1)))


def _complex(points: Points) -> NDArray[np.complex128]:
    return points[:, 0] + 1j * points[:, 1]
