"""Pictures made of whole numbers, the same in Python and JavaScript, and the scores that a page must get."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images import SIZE
from ..runtime import Session

COUNT = 3
# Of P(real), against the same file on ONNX Runtime. fp32 has the tolerance of the card's own parity check; a
# value that lies between two steps of int8 or fp16 may be rounded to either.
TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2, "int8": 1e-2}


def pictures() -> NDArray[np.uint8]:
    """The pictures, uint8 [COUNT, 224, 224, 3]; page/self_test.js draws the same."""
    k, y, x, c = np.ogrid[:COUNT, :SIZE, :SIZE, :3]
    wave = x * (2 * k + c + 1) + y * (5 - k + c) + 97 * c
    smooth = np.abs(wave % 512 - 256) * 3 // 4
    primes = (73_856_093, 19_349_663, 83_492_791, 2_654_435_761)
    parts = zip((x, y, c + 1, k + 1), primes, strict=True)
    across, down, colour, number = (part.astype(np.uint32) * np.uint32(prime) for part, prime in parts)
    mixed = across ^ down ^ colour ^ number
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(2_246_822_519)
    noise = (mixed >> np.uint32(26)).astype(np.int64)
    return np.ascontiguousarray((smooth + noise).astype(np.uint8))


def goldens(session: Session) -> dict[str, Any]:
    """The scores of the pictures, for the page.

    Args:
        session: the page's model, which computes 8-bit products exactly.
    """
    scores = session.run(pictures(), session.score_outputs)
    return {
        "tolerance": TOLERANCES[session.card.precision],
        "scores": {name: [float(value) for value in values] for name, values in scores.items()},
    }
