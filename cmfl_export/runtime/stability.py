"""Stability: how the score of an image moves when the image is encoded or resized once more.

A score that a messenger's compression can turn is weak evidence, whatever its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..images import parse_degradations
from .pipeline import Decoded
from .prediction import Prediction

# Each is applied by itself to the image that the model sees: JPEG and WebP in this quality (Pillow, 4:2:0),
# and resizing by this factor and back (bicubic).
CHANGES = tuple(parse_degradations(["jpeg:90,75,60", "webp:90,75", "resize:0.875,0.75,0.5"]))


def with_variants(decoded: Decoded) -> list[Decoded]:
    """The image itself, then the image after each of CHANGES."""
    return [decoded, *(decoded._replace(image=change.apply(decoded.image, "")) for change in CHANGES)]


def judged(row: Prediction, variants: Sequence[Prediction]) -> Prediction:
    """The row of an image with what the rows of its variants say.

    Args:
        row: of the image itself; without a score it stays as it is.
        variants: one row per change.

    Returns:
        The row with `spread`, the largest minus the smallest p_real of all of them, and `flips`, the number
        of variants with another decision or without one; `uncertain` where there is such a variant.
    """
    if row.p_real is None:
        return row
    scores = [row.p_real, *(variant.p_real for variant in variants if variant.p_real is not None)]
    flips = sum(variant.decision != row.decision for variant in variants)
    return replace(
        row,
        spread=max(scores) - min(scores),
        flips=flips,
        decision="uncertain" if flips else row.decision,
    )
