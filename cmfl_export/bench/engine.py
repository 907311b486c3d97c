"""The interface of what is timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

# Returns its amount; or the seconds of each of several pieces that ran at once, each of the amount 1.
Unit = Callable[[], float | Sequence[float]]


class Engine(Protocol):
    """What is timed of a contender. Every engine is also given `threads`, `images` and `compared`."""

    def unit(self, measure: str, seconds: float) -> Unit:
        """Returns a function that does the smallest whole piece of a measure.

        It returns the amount: images or, for matrix products, operations; or the seconds of each image.
        `seconds` is how long a measurement will take.
        """
        ...

    def about(self) -> dict[str, Any]:
        """Returns facts for the report, JSON values; `scores` has P(real) of the images in order."""
        ...
