"""Bounds that hold on every machine: how much Python a call runs, and an end for what hangs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


def instructions(call: Callable[[], object]) -> int:
    """The bytecode instructions that a call runs in this thread. A loop over an input shows in them."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@contextmanager
def ending(seconds: int = 60) -> Iterator[None]:
    """Ends what takes minutes where it should take no time to speak of."""

    def late(*_: object) -> None:
        raise AssertionError(f"has not ended within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
