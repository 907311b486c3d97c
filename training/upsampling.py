"""A simulator of generator up-sampling: a photograph in, the same picture with a generator's traces out.

After X. Zhang, S. Karaman, S.-F. Chang, "Detecting and Simulating Artifacts in GAN Fake Images" (WIFS 2019,
arXiv 1907.06515). A generator grows its picture by repeated x2 up-sampling. Each step copies the spectrum of
the smaller picture to multiples of half the sampling rate, and the convolution that follows removes the
copies only in part.

Here a photograph is taken apart by one to three halvings and put together again. Every doubling is zero
insertion and a small kernel (a transposed convolution), or nearest neighbour and a small kernel; a kernel is
a smooth interpolator with a random perturbation. The detail that a smooth doubling cannot carry is added
back, as the features of a generator carry it. Without it the synthetic class would be the blurred class, and
a detector would learn blur; with it, the pictures differ by what the perturbed kernels do and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

MAX_STAGES = 3

Method = Literal["zero_insertion", "nearest"]
Pixels = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float32]

# Undisturbed, both kernels double a picture bilinearly: 3/4 of the nearest pixel and 1/4 of the next.
_AFTER_ZEROS = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
_AFTER_NEAREST = np.outer([1, 2, 1], [1, 2, 1]) / 16
_IDENTITY = np.outer([0, 1, 0], [0, 1, 0])


@dataclass(frozen=True)
class Recipe:
    """How one picture is up-sampled.

    stages: number of x2 steps, 1 to 3; the traces lie at multiples of N / 2^stages, N the picture's side.
    method: what doubles the grid.
    texture: standard deviation of the kernels' random part: copies of the picture's texture.
    tone: zero insertion only. How unequal in brightness (relative standard deviation) the four pixel phases
        are at the last step: the checkerboard, seen as single bright points of the spectrum. Twice as much at
        each earlier step, whose checkerboard the later ones smooth.
    blocks: nearest neighbour only. How much of the block edges the kernel leaves, 0 to 1, at the last step;
        half as much at each earlier one, whose blocks are twice the size.
    """

    stages: int
    method: Method
    texture: float
    tone: float
    blocks: float

    @classmethod
    def draw(cls, rng: np.random.Generator, strength: float = 1.0) -> Recipe:
        """A random recipe. At strength 1 the eye sees no difference; the traces grow in proportion."""
        stages = int(rng.integers(1, MAX_STAGES + 1))
        if rng.random() < 0.5:
            texture, tone = rng.uniform(0.03, 0.10), rng.uniform(0.005, 0.015)
            return cls(stages, "zero_insertion", strength * texture, strength * tone, 0.0)
        texture, blocks = rng.uniform(0.02, 0.04), rng.uniform(0.25, 0.50)
        return cls(stages, "nearest", strength * texture, 0.0, min(strength * blocks, 1.0))


def simulate(
    image: Pixels, rng: np.random.Generator, *, strength: float = 1.0, recipe: Recipe | None = None
) -> Pixels:
    """The picture as a generator's last up-sampling steps would have left it.

    Args:
        image: uint8 [H, W, 3], 0..255; H and W are multiples of 8.
        rng: decides the recipe and the kernels; equal states give equal pictures.
        strength: of the traces, above 0; 1 is to the eye the same picture (about 40 dB PSNR).
        recipe: what to do instead of `Recipe.draw(rng, strength)`.

    Returns:
        uint8 [H, W, 3], a new array.

    Raises:
        ValueError: another dtype, shape or size.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
    if image.shape[0] % 8 or image.shape[1] % 8 or image.size == 0:
        raise ValueError(f"height and width must be multiples of 8, got {image.shape[0]} x {image.shape[1]}")
    recipe = recipe or Recipe.draw(rng, strength)

    level = image.astype(np.float32)
    details = []
    for _ in range(recipe.stages):
        small = _halve(level)
        details.append(level - _double(small))
        level = small
    for depth in reversed(range(recipe.stages)):
        level = _upsample(level, recipe, depth, rng) + details[depth]
    return np.rint(level).clip(0, 255).astype(np.uint8)


def _halve(level: _Floats) -> _Floats:
    """Means of 2 x 2 pixels."""
    height, width, channels = level.shape
    means: _Floats = level.reshape(height // 2, 2, width // 2, 2, channels).mean((1, 3))
    return means


def _double(level: _Floats) -> _Floats:
    """Smooth (bilinear) up-sampling, which leaves no trace."""
    return _filter_doubled(_repeat(_bordered(level)), np.stack([_AFTER_NEAREST] * 3))


def _upsample(level: _Floats, recipe: Recipe, depth: int, rng: np.random.Generator) -> _Floats:
    """One generator-like doubling; `depth` counts from the last step, 0, to the first."""
    level = _bordered(level)
    if recipe.method == "zero_insertion":
        kernels = _AFTER_ZEROS + _zero_insertion_noise(recipe.texture, recipe.tone * 2**depth, rng)
        # A filter has a centre, so 4 x 4 becomes 5 x 5.
        return _filter_doubled(_insert_zeros(level), np.pad(kernels, ((0, 0), (0, 1), (0, 1))))
    blocks = recipe.blocks / 2**depth
    noise = rng.normal(size=(3, 3, 3)) * recipe.texture
    noise -= noise.mean((1, 2), keepdims=True)
    return _filter_doubled(_repeat(level), (1 - blocks) * _AFTER_NEAREST + blocks * _IDENTITY + noise)


def _zero_insertion_noise(texture: float, tone: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Random parts of the kernels, [3, 4, 4], one a colour channel; each sums to zero, so the mean is kept.

    A pixel of the output sees only every second row and column of a kernel: one of four phases. The texture
    part leaves the sum of each phase as it is; the tone part then makes the sums unequal.
    """
    # channel, row, row phase, column, column phase
    even = rng.normal(size=(3, 2, 2, 2, 2)) * texture
    even -= even.mean((1, 3), keepdims=True)
    uneven = rng.normal(size=(3, 1, 2, 1, 2)) * tone
    uneven -= uneven.mean((2, 4), keepdims=True)
    # Four entries of the kernel share what a phase is to gain.
    return (even + uneven / 4).reshape(3, 4, 4)


def _bordered(level: _Floats) -> _Floats:
    """One more pixel on each side, so that the kernels meet no border of inserted zeros."""
    return np.pad(level, ((1, 1), (1, 1), (0, 0)), mode="edge")


def _insert_zeros(level: _Floats) -> _Floats:
    spread = np.zeros((2 * level.shape[0], 2 * level.shape[1], 3), np.float32)
    spread[::2, ::2] = level
    return spread


def _repeat(level: _Floats) -> _Floats:
    return level.repeat(2, axis=0).repeat(2, axis=1)


def _filter_doubled(doubled: _Floats, kernels: npt.NDArray[np.float64]) -> _Floats:
    """Each channel with its own kernel, then without the doubled border."""
    channels = [ndimage.correlate(doubled[..., c], kernels[c]) for c in range(3)]
    return np.stack(channels, axis=-1)[2:-2, 2:-2]
