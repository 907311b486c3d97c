"""Tables for a terminal."""

from __future__ import annotations

from cmfl_export.base.tables import aligned

ROWS = [["name", "n", "what"], ["a", "1,000", "x"], ["longer", "2", ""]]


def test_columns_are_aligned_and_all_but_the_first_flush_right() -> None:
    assert aligned(ROWS) == [
        "name        n  what",
        "a       1,000     x",
        "longer      2",
    ]


def test_the_columns_of_numbers_can_be_named() -> None:
    assert aligned(ROWS, numbers=(1,)) == [
        "name        n  what",
        "a       1,000  x",
        "longer      2",
    ]


def test_no_rows_are_no_lines() -> None:
    assert aligned([]) == []
