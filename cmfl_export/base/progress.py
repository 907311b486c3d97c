"""The progress bar on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread


@contextmanager
def bar(count: Callable[[], int | None], *, shown: bool | None = None) -> Iterator[Callable[[int], None]]:
    """Shows the number of rows done, the rate and, once the total is known, the time left.

    Args:
        count: returns the number of inputs, or None if it is unknown. It runs in a thread, because walking
            a large folder takes long.
        shown: whether to show the bar; None means only if standard error is a terminal.

    Yields:
        A function to call after each row with the number of inputs skipped so far.
    """
    if not (sys.stderr.isatty() if shown is None else shown):
        yield lambda _skipped: None
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
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        task = progress.add_task("", total=None)
        Thread(target=find_total, daemon=True).start()

        def advance(skipped: int) -> None:
            progress.update(task, advance=1, total=None if total is None else total - skipped)

        yield advance
