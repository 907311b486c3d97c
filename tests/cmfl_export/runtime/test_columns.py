"""The columns of rows: every set of groups has one header, and every header gives its groups."""

from __future__ import annotations

from itertools import combinations

import pytest

from cmfl_export.runtime import COLUMNS, GROUPS, KINDS, columns_with, groups_of

SETS = [groups for size in range(len(GROUPS) + 1) for groups in combinations(GROUPS, size)]


@pytest.mark.parametrize("groups", SETS)
def test_columns_give_their_groups(groups: tuple[str, ...]) -> None:
    columns = columns_with(groups[::-1])
    assert columns[: len(COLUMNS)] == COLUMNS
    assert groups_of(columns) == groups


def test_every_column_has_a_kind_and_belongs_to_one_group() -> None:
    columns = columns_with(list(GROUPS))
    assert len(set(columns)) == len(columns)
    assert list(KINDS) == list(columns)


@pytest.mark.parametrize(
    "columns",
    [(), COLUMNS[1:], COLUMNS[::-1], (*COLUMNS, "face"), (*COLUMNS, *GROUPS["faces"][::-1]), (*COLUMNS, "x")],
)
def test_other_columns_have_no_groups(columns: tuple[str, ...]) -> None:
    assert groups_of(columns) is None
