"""How long a queue takes to empty, on a clock that the test moves."""

from __future__ import annotations

from cmfl_export.serve.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_that_of_the_images_that_have_left() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.enter(10)
    assert pace.seconds_to_empty(30) == 1
    clock.now += 4
    pace.leave(2)
    # Half an image per second.
    assert (pace.images, pace.seconds_to_empty(30)) == (8, 16)
    assert pace.seconds_to_empty(9.5) == 10


def test_time_without_images_does_not_count() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.enter(4)
    clock.now += 2
    pace.leave(4)
    clock.now += 1000
    pace.enter(12)
    assert pace.seconds_to_empty(30) == 6


def test_a_change_of_speed_is_noticed() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.enter(40)
    for seconds in (10.0, 1.0):
        for _ in range(30):
            clock.now += seconds
            pace.enter(1)
            pace.leave(1)
    assert 40 < pace.seconds_to_empty(1000) < 200
    for _ in range(60):
        clock.now += 1
        pace.enter(1)
        pace.leave(1)
    assert 40 <= pace.seconds_to_empty(1000) <= 60
