"""Batch size, threads, the place in a batch and batches at once never change a decision of the starter.

float32 sums in another order differ by 1e-7. In an int8 file such a difference can move an activation by one
of its 256 steps, and a score by some 1e-3.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cmfl_export.base.threads import in_order
from cmfl_export.images import decode
from cmfl_export.runtime import Session
from cmfl_export.zoo import resolve

BOUNDS = {"fp32": 2e-6, "int8": 1e-2}


@pytest.fixture(scope="module")
def images(photographs: list[Path]) -> NDArray[np.uint8]:
    return np.stack([decode(path) for path in photographs[:5]])


def scores(
    session: Session, images: NDArray[np.uint8], size: int, order: list[int], together: int = 1
) -> NDArray[np.float64]:
    """P(real) of all heads in the order of the images, run in batches of this size and in this order."""
    found = np.full((len(images), len(session.score_outputs)), np.nan)
    parts = [order[start : start + size] for start in range(0, len(order), size)]

    def run(part: list[int]) -> NDArray[np.float32]:
        values = session.run(images[part], session.score_outputs, low_latency=together == 1)
        return np.stack(list(values.values()), axis=1)

    for part, values in zip(parts, in_order(run, parts, together, name="test"), strict=True):
        found[part] = values
    return found


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_score_depends_on_its_image_alone(precision: str, runtime: str, images: NDArray[np.uint8]) -> None:
    file = resolve(f"starter:{precision}")
    order = list(range(len(images)))
    single = Session.open(file, runtime, 1)
    expected = scores(single, images, 1, order)
    decisions = [single.card.decide(p) for p in expected[:, 0]]
    assert np.ptp(expected[:, 0]) > 0.1  # or nothing could be seen
    ways = [(1, 5, order), (2, 2, order[::-1]), (3, 3, [4, 0, 3, 1, 2]), (2, 1, order)]
    for threads, size, turn in ways:
        session = Session.open(file, runtime, threads)
        together = session.concurrent_batches if size == 1 else 1
        found = scores(session, images, size, turn, together)
        assert np.abs(found - expected).max() <= BOUNDS[precision], (threads, size, turn)
        assert [session.card.decide(p) for p in found[:, 0]] == decisions
