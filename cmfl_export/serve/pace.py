"""How many images are in the server, and how fast they leave it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

# Seconds with images after which older ones count half.
_WINDOW = 20.0


class Pace:
    """Counts the images of a queue, and measures how fast they leave it while there are some.

    Attributes:
        images: those in the queue now.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.images = 0
        self._clock = clock
        self._last = clock()
        self._left = 0.0
        self._busy = 0.0

    def enter(self, images: int) -> None:
        """Counts images that come."""
        self._pass_time()
        self.images += images

    def leave(self, images: int) -> None:
        """Counts images that go."""
        self._pass_time()
        self.images -= images
        self._left += images
        if self._busy > _WINDOW:
            self._busy /= 2
            self._left /= 2

    def wait(self, images: int) -> float:
        """Returns the seconds until so many have left at the rate so far; 0 before one has left."""
        return images * self._busy / self._left if self._left else 0.0

    def seconds_to_empty(self, most: float) -> int:
        """Returns whole seconds, from 1 to `most`, until the images of now have left."""
        return max(1, math.ceil(min(self.wait(self.images), most)))

    def _pass_time(self) -> None:
        now = self._clock()
        if self.images:
            self._busy += now - self._last
        self._last = now
