"""Numbers of shards as text: `3`, `0-9`, `3,7-9`, or `I/N`, the I-th of N workers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..base.errors import UsageError

_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_WORKER = re.compile(r"(\d{1,9})/(\d{1,9})")
_MOST_SHOWN = 20


def chosen_shards(text: str | None, shards: int) -> Sequence[int]:
    """Returns the numbers that a text chooses of `shards` shards, in order; None chooses all.

    Args:
        text: numbers and ranges, separated by commas, or `I/N`: every N-th shard from I on, for worker I of
            N, counted from 0.
        shards: how many there are.

    Raises:
        UsageError: the text means no shard of these.
    """
    if text is None:
        return range(shards)
    worker = _WORKER.fullmatch(text.strip())
    if worker is not None:
        number, workers = int(worker[1]), int(worker[2])
        if number >= workers:
            raise UsageError(
                f"--shard {text}: workers are counted from 0, so the first number is below the second"
            )
        return range(number, shards, workers)
    found: set[int] = set()
    for piece in text.split(","):
        numbers = _RANGE.fullmatch(piece.strip())
        if numbers is None:
            raise UsageError(f"--shard {text}: write 3, 0-9, 3,7-9, or I/N for worker I of N")
        first, last = int(numbers[1]), int(numbers[2] or numbers[1])
        if not first <= last < shards:
            raise UsageError(f"--shard {text}: the manifest has the shards 0-{shards - 1}")
        found.update(range(first, last + 1))
    return sorted(found)


def as_text(numbers: Iterable[int]) -> str:
    """Returns the numbers as `chosen_shards` reads them; of very many ranges only the first ones."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    more = f" and {len(texts) - _MOST_SHOWN} more ranges" if len(texts) > _MOST_SHOWN else ""
    return ",".join(texts[:_MOST_SHOWN]) + more
