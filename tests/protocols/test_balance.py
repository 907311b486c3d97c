"""Class balance."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocols import Sample, balance

_classes = st.lists(st.booleans(), max_size=60)


def rows(classes: list[bool]) -> list[Sample]:
    return [Sample(str(i), f"{i}.png", "" if real else "x") for i, real in enumerate(classes)]


@given(classes=_classes, seed=st.integers(0, 2**32))
def test_cuts_to_the_smaller_class_in_order(classes: list[bool], seed: int) -> None:
    samples = rows(classes)
    kept = balance(samples, seed)
    n = min(sum(classes), len(classes) - sum(classes))
    assert sum(sample.is_real for sample in kept) == n
    assert len(kept) == 2 * n
    assert [sample for sample in samples if sample in set(kept)] == kept
    assert kept == balance(samples, seed)


def test_the_seed_chooses() -> None:
    samples = rows([True] * 10 + [False] * 100)
    choices = {tuple(balance(samples, seed)) for seed in range(5)}
    assert len(choices) == 5
    assert all(set(samples[:10]) < set(choice) for choice in choices)
