"""Rates of a detector that may stay silent, in the terms of ISO/IEC 30107-3.

The standard counts a presentation without a response apart: APNRR is the share of attacks, and BPNRR that of
bona fide images, without one. APCER and BPCER are then of the images that are answered.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .counts import Floats


def response_rates(
    called_real: NDArray[np.bool_],
    called_synthetic: NDArray[np.bool_],
    is_real: NDArray[np.bool_],
    weights: Floats | None = None,
) -> dict[str, float]:
    """The rates by name; NaN for a rate of no image.

    Args:
        called_real, called_synthetic: bool [N], never both; neither is no response.
        is_real: bool [N].
        weights: float64 [N], how often each image counts; 1 each by default.

    Returns:
        apnrr, bpnrr: the shares of attacks and of bona fide images without a response.
        answered: the share of all images with one, which depends on the sizes of the classes.
        apcer, bpcer: the shares of the answered attacks called real, and of the answered bona fide images
            called synthetic.
        attacks_called_real, real_called_synthetic: the same of all of them, answered or not.
    """
    counts = np.ones(is_real.size) if weights is None else weights

    def total(which: NDArray[np.bool_]) -> float:
        return float(counts[which].sum())

    answered = called_real | called_synthetic
    attacks, reals = total(~is_real), total(is_real)
    attacks_answered, reals_answered = total(~is_real & answered), total(is_real & answered)
    passed, refused = total(~is_real & called_real), total(is_real & called_synthetic)
    return {
        "apnrr": _share(attacks - attacks_answered, attacks),
        "bpnrr": _share(reals - reals_answered, reals),
        "answered": _share(attacks_answered + reals_answered, attacks + reals),
        "apcer": _share(passed, attacks_answered),
        "bpcer": _share(refused, reals_answered),
        "attacks_called_real": _share(passed, attacks),
        "real_called_synthetic": _share(refused, reals),
    }


def _share(part: float, of: float) -> float:
    return part / of if of else math.nan
