"""Work on threads, in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cmfl_export.base.threads import in_order


def test_keeps_order_and_runs_a_little_ahead() -> None:
    taken = 0
    second_is_done = threading.Event()

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield number

    def first_last(number: int) -> int:
        if number == 0:
            assert second_is_done.wait(60)
        elif number == 1:
            second_is_done.set()
        return number

    for place, number in enumerate(in_order(first_last, items(), 3, name="test")):
        assert number == place
        assert taken <= place + 8


def test_an_error_is_raised_in_its_turn_and_nothing_starts_after_it() -> None:
    started = []

    def fail_at_three(number: int) -> int:
        started.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    results = in_order(fail_at_three, range(1000), 2, name="test")
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert max(started) < 20
