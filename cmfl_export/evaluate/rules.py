"""The rules by which `cmfl calibrate --at` chooses a threshold or a band."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..base.errors import InputError, UsageError
from ..metrics import most_errors, upper_bound

# One-sided, of the BPCER on photographs alone.
BOUND_LEVEL = 0.95

_USE = "use d-eer, apcer:X, bpcer:X or band:apcer=X,bpcer=Y, X and Y from 0 to 1"


@dataclass(frozen=True)
class Chosen:
    """What a rule chose. `note` says how, to stand behind the name of the data, or is "".

    `bound`: the upper bound of the BPCER, where it was chosen by that.
    """

    threshold: float
    band: tuple[float, float] | None = None
    note: str = ""
    bound: float | None = None

    @property
    def highest(self) -> float:
        """The score from which an image is called real."""
        return self.threshold if self.band is None else self.band[1]


@dataclass(frozen=True)
class Rule:
    """A rule as `--at` gives it: `at` its text, and the limits that it sets."""

    at: str
    apcer: float | None = None
    bpcer: float | None = None

    @classmethod
    def of(cls, at: str) -> Rule:
        """Reads `d-eer`, `apcer:X`, `bpcer:X` or `band:apcer=X,bpcer=Y`.

        Raises:
            UsageError: it is none of these.
        """
        if at == "d-eer":
            return cls(at)
        name, _, rest = at.partition(":")
        limits = [part.partition("=")[::2] for part in rest.split(",")] if name == "band" else [(name, rest)]
        try:
            rates = {kind: float(limit) for kind, limit in limits}
        except ValueError:
            rates = {}
        wanted = {"apcer", "bpcer"} if name == "band" else {name} & {"apcer", "bpcer"}
        known = set(rates) == wanted and len(limits) == len(wanted) > 0
        # Written so that a NaN fails.
        if not known or not all(0 <= rate <= 1 for rate in rates.values()):
            raise UsageError(f"cannot choose a threshold at {at!r}; {_USE}")
        return cls(at, **rates)

    @property
    def takes_one_class(self) -> bool:
        """Whether it also works on photographs alone."""
        return self.bpcer is not None and self.apcer is None

    def choose(self, p_real: NDArray[np.float64], is_real: NDArray[np.bool_]) -> Chosen:
        """Chooses on scores of both classes; a threshold may be above 1 where no other fulfils the rule."""
        if self.apcer is not None and self.bpcer is not None:
            return self._band(p_real, is_real, self.apcer, self.bpcer)
        if self.apcer is not None:
            return Chosen(_from_0(metrics.bpcer_at_apcer(p_real, is_real, self.apcer).threshold))
        if self.bpcer is not None:
            return Chosen(_from_0(metrics.apcer_at_bpcer(p_real, is_real, self.bpcer).threshold))
        return Chosen(_from_0(metrics.d_eer(p_real, is_real).threshold))

    def _band(
        self, p_real: NDArray[np.float64], is_real: NDArray[np.bool_], apcer: float, bpcer: float
    ) -> Chosen:
        """Both limits are of all attacks and of all bona fide images, answered or not: so each end depends on
        one class alone.
        """
        high = _from_0(metrics.bpcer_at_apcer(p_real, is_real, apcer).threshold)
        low = _from_0(metrics.apcer_at_bpcer(p_real, is_real, bpcer).threshold)
        # The D-EER, as near as it lies: who knows no band decides by this threshold.
        threshold = metrics.d_eer(p_real, is_real).threshold
        if low < high:
            note = "the threshold is that of the D-EER, or the end of the band next to it"
            return Chosen(min(max(threshold, low), high), (low, high), note)
        # From `high` to `low` each threshold keeps both limits.
        return Chosen(min(max(threshold, high), low), None, "no band, as one threshold keeps both limits")

    def choose_on_photographs(self, p_real: NDArray[np.float64]) -> Chosen:
        """Chooses on scores of bona fide images alone: the highest threshold whose BPCER is at most the limit
        by its upper bound (Clopper and Pearson, 95 %, one-sided).

        Raises:
            InputError: they are too few for the limit.
        """
        assert self.bpcer is not None
        scores = np.sort(p_real)
        errors = most_errors(scores.size, self.bpcer, BOUND_LEVEL)
        if errors is None:
            needed = (
                "no number of them can show a BPCER of 0; give a larger X"
                if self.bpcer == 0
                else f"give {_fewest(self.bpcer)} or more, or a larger X"
            )
            raise InputError(
                f"{scores.size} real images are too few for {self.at}: with not one called synthetic the "
                f"upper 95 % bound of BPCER is {upper_bound(0, scores.size, BOUND_LEVEL):.2g}; {needed}"
            )
        at = scores[min(errors, scores.size - 1)]
        below = scores[scores < at]
        # Halfway between two scores, so that rounding changes no decision.
        threshold = max(0.5 * (below[-1] + at), np.nextafter(below[-1], np.inf)) if below.size else at
        bound = upper_bound(int(below.size), scores.size, BOUND_LEVEL)
        note = "on real images alone, by the upper 95 % bound of BPCER (Clopper-Pearson, one-sided)"
        return Chosen(float(threshold), None, note, bound)


def _from_0(threshold: float) -> float:
    return max(threshold, 0.0)


def _fewest(bpcer: float) -> int:
    return math.ceil(math.log(1 - BOUND_LEVEL) / math.log1p(-bpcer)) if bpcer < 1 else 1
