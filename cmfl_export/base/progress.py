"""The progress bar on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Protocol


class Advance(Protocol):
    """Says how many rows are done since the last call, and how many inputs were skipped so far."""

    def __call__(self, skipped: int, done: int = 1) -> None: ...


def _show_nothing(skipped: int, done: int = 1) -> None:
    pass


@contextmanager
def bar(
    count: Callable[[], int | None], *, shown: bool | None = None, period: float = 30.0
) -> Iterator[Advance]:
    """Shows the number of rows done, the rate and, once the total is known, the time left.

    Args:
        count: returns the number of inputs, or None if it is unknown. It runs in a thread, because walking
            a large folder takes long.
        shown: whether to show the bar; None means only if standard error is a terminal.
        period: the rate is that of so many seconds.

    Yields:
        A function to call after each row, or after several.
    """
    if not (sys.stderr.isatty() if shown is None else shown):
        yield _show_nothing
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("- img/s" if speed is None else f"{speed:.1f} img/s")

    total: int | None = None

    def find_total() -> None:
        nonlocal total
        total = count()

    columns = (BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn(elapsed_when_finished=True))
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, speed_estimate_period=period) as progress:
        task = progress.add_task("", total=None)
        Thread(target=find_total, daemon=True).start()

        def advance(skipped: int, done: int = 1) -> None:
            progress.update(task, advance=done, total=None if total is None else total - skipped)

        yield advance
