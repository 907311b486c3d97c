"""The interface of what is timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Unit = Callable[[], float]


class Engine(Protocol):
    """What is timed of a contender. Every engine is also given `threads`, `images` and `compared`."""

    def unit(self, measure: str, seconds: float) -> Unit:
        """Returns a function that does the smallest whole piece of a measure.

        It returns the amount: images or, for matrix products, operations. `seconds` is how long a measurement
        will take.
        """
        ...

    def about(self) -> dict[str, Any]:
        """Returns facts for the report, JSON values; `scores` has P(real) of the images in order."""
        ...
