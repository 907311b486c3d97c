"""The geometry of an aligned face: a 224 x 224 crop with five landmarks at fixed places."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..base.options import DetectorOptions
from ..images import SIZE

Points = NDArray[np.float64]  # [n, 2], (x, y)

# ArcFace's template for 112 x 112 (Deng et al., CVPR 2019), times two: left eye, right eye, nose, left and
# right corner of the mouth.
_ARCFACE: Points = 2 * np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
# ArcFace's crop ends at chin and brow. At this scale the crop shows the head about as FFHQ does.
FACE_SCALE = DetectorOptions.face_scale

# The key of the note in a crop's file that tells how it was aligned: PNG text, or the beginning of a JPEG
# comment. `protocols.check` looks for it.
MARKER = "cmfl-align"

# How far bicubic interpolation reads beyond the crop, in pixels of the crop.
_MARGIN = 4
# Places in a picture are multiples of this fraction, see `_steady`.
_STEPS_PER_PIXEL = 2.0**32


class Aligned(NamedTuple):
    """A crop, RGB 224 x 224, and the share of it (0..1) that lies outside the picture and was filled."""

    image: Image.Image
    padding: float


class Similarity(NamedTuple):
    """A rotation, scale and shift without reflection: (x + iy) -> turn * (x + iy) + shift."""

    turn: complex
    shift: complex

    @property
    def scale(self) -> float:
        """The factor by which it enlarges."""
        return abs(self.turn)

    def __call__(self, points: Points) -> Points:
        moved = self.turn * _complex(points) + self.shift
        return np.stack([moved.real, moved.imag], axis=1)

    @property
    def inverse(self) -> Similarity:
        """The similarity that undoes this one."""
        return Similarity(1 / self.turn, -self.shift / self.turn)


def template(face_scale: float = FACE_SCALE) -> Points:
    """The places of the landmarks in the crop, float64 [5, 2]. At scale 1 the face has ArcFace's size."""
    middle = SIZE / 2
    return middle + face_scale * (_ARCFACE - middle)


def similarity(source: Points, target: Points) -> Similarity:
    """The similarity that maps `source` to `target` with the least sum of squared distances.

    The closed form of Umeyama (IEEE TPAMI 1991), which in the plane is a regression on complex numbers.

    Args:
        source, target: float64 [n, 2]; neither may consist of equal points.
    """
    a, b = _complex(source), _complex(target)
    from_mean = a - a.mean()
    turn = complex(np.vdot(from_mean, b - b.mean()) / np.vdot(from_mean, from_mean))
    return Similarity(turn, complex(b.mean() - turn * a.mean()))


def align(picture: Image.Image, landmarks: Points, *, face_scale: float = FACE_SCALE) -> Aligned:
    """Crops a face from an RGB picture, upright and with its landmarks at the places of `template`.

    A face that is larger in the picture than in the crop is first reduced, with its surroundings, by Pillow's
    antialiased bicubic filter; then one affine bicubic interpolation turns and shifts it. Parts outside the
    picture are filled by reflection.

    Args:
        picture: RGB.
        landmarks: float64 [5, 2], as in `Face`; not all equal.
        face_scale: see `template`.
    """
    to_crop = similarity(landmarks, template(face_scale))
    corners = np.array([[0, 0], [SIZE, 0], [0, SIZE], [SIZE, SIZE]], np.float64)
    # The part of the picture that the crop shows, with a margin.
    seen, reach = to_crop.inverse(corners), _MARGIN / to_crop.scale
    wanted = np.array(
        [np.floor(_steady(seen.min(axis=0) - reach)), np.ceil(_steady(seen.max(axis=0) + reach))]
    )
    there = wanted.clip(0, picture.size)
    return Aligned(_cut(picture, to_crop, wanted, there), _outside(to_crop.inverse, picture.size))


def _cut(picture: Image.Image, to_crop: Similarity, wanted: Points, there: Points) -> Image.Image:
    """The crop of the area `wanted`, of which the picture contains only `there` (corners, [2, 2])."""
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
    # The place of the padded region's first pixel in the picture.
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
        (SIZE, SIZE), Image.Transform.AFFINE, _steady(np.array(matrix)).tolist(), Image.Resampling.BICUBIC
    )


def _steady(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values without the last bits of float64, in which processors and browsers differ.

    Where a place is exact, as in a picture that needs no turn, these decide what a rounding down makes of it.
    """
    return np.round(values * _STEPS_PER_PIXEL) / _STEPS_PER_PIXEL


def _outside(back: Similarity, size: tuple[int, int]) -> float:
    """The share of the crop's pixels whose centre is outside the picture."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    places = back(np.stack([x.ravel(), y.ravel()], axis=1))
    return float(np.mean(((places < 0) | (places > size)).any(axis=1)))


def _complex(points: Points) -> NDArray[np.complex128]:
    return points[:, 0] + 1j * points[:, 1]
