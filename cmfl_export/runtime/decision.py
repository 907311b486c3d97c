"""What is decided from a score: real, synthetic or, within a band, uncertain. The one place that decides."""

from __future__ import annotations

from typing import NamedTuple

REAL, SYNTHETIC, UNCERTAIN = "real", "synthetic", "uncertain"
DECISIONS = (REAL, SYNTHETIC, UNCERTAIN)


class DecisionRule(NamedTuple):
    """How a score, P(real) after the temperature, becomes a decision.

    Attributes:
        threshold: without a band, a picture is real from it on and else synthetic.
        band: low and high; a picture is real from `high` on, synthetic below `low`, and between uncertain.
    """

    threshold: float
    band: tuple[float, float] | None = None

    def decide(self, p_real: float) -> str:
        """The decision on a score."""
        low, high = self.band or (self.threshold, self.threshold)
        return REAL if p_real >= high else SYNTHETIC if p_real < low else UNCERTAIN

    def contradicts(self, p_real: float, other: float) -> bool:
        """Whether one of two scores is real and the other synthetic."""
        return {self.decide(p_real), self.decide(other)} == {REAL, SYNTHETIC}
