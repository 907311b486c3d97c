"""What can be timed of a contender, whatever it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Unit = Callable[[], float]


class Engine(Protocol):
    """What can be timed of a contender."""

    def unit(self, measure: str, seconds: float) -> Unit:
        """The smallest whole piece of a measure: does it when called, and returns how much that was, in
        images or, for matrix products, in operations. `seconds` is how long a measurement will take.
        """
        ...

    def about(self) -> dict[str, Any]:
        """What the report says of it, JSON values; `scores` holds P(real) of the images in order."""
        ...
