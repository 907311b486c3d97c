"""Numbers of shards as text, both ways."""

from __future__ import annotations

import pytest

from cmfl_export.base.errors import UsageError
from cmfl_export.cluster.shard_numbers import as_text, chosen_shards


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (None, [0, 1, 2, 3, 4, 5, 6]),
        ("3", [3]),
        ("0-2", [0, 1, 2]),
        ("5, 1-2,1", [1, 2, 5]),
        ("0/3", [0, 3, 6]),
        ("2/3", [2, 5]),
        ("8/9", []),
    ],
)
def test_chosen(text: str | None, numbers: list[int]) -> None:
    assert list(chosen_shards(text, 7)) == numbers


@pytest.mark.parametrize("text", ["7", "2-1", "3-7", "", "a", "1,", "-1", "3/3", "1/0", "1/2/3", "0.5"])
def test_what_chooses_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        chosen_shards(text, 7)


def test_every_worker_has_its_share() -> None:
    taken = [shard for worker in range(4) for shard in chosen_shards(f"{worker}/4", 11)]
    assert sorted(taken) == list(range(11))


def test_as_text() -> None:
    assert as_text([5, 0, 1, 2, 9, 8]) == "0-2,5,8-9"
    assert as_text(range(0, 100, 2)).endswith("36,38 and 30 more ranges")
    assert list(chosen_shards(as_text([1, 2, 6]), 7)) == [1, 2, 6]
