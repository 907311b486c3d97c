"""Attacks left out of a split: whole ones, parts of one, and names that are none."""

from __future__ import annotations

import pytest

from cmfl_export.base.errors import CmflError
from protocols import Sample, leave_out

SAMPLES = [
    Sample("r", "real/0.png", ""),
    Sample("a", "scrape_a/0.png", "gan"),
    Sample("b", "./scrape_b/0.png", "gan"),
    Sample("c", "diffusion.png", "sd"),
]


@pytest.mark.parametrize(
    ("names", "gone"),
    [
        ([], ""),
        (["gan"], "ab"),
        (["gan/scrape_b"], "b"),
        (["sd/."], "c"),
        (["gan/scrape_a", "sd"], "ac"),
        (["gan", "gan/scrape_a"], "ab"),
    ],
)
def test_which_samples_are_left_out(names: list[str], gone: str) -> None:
    kept, left_out = leave_out(SAMPLES, names)
    assert "".join(sample.subject for sample in left_out) == gone
    assert kept == [sample for sample in SAMPLES if sample.subject not in gone]


def test_a_name_that_is_no_attack_is_refused_with_those_that_are() -> None:
    with pytest.raises(CmflError) as caught:
        leave_out(SAMPLES, ["gan", "gam"])
    assert str(caught.value) == (
        "train has no attack 'gam' to leave out; it has: gan, gan/scrape_a, gan/scrape_b, sd, sd/."
    )
    # Photographs are no attack.
    with pytest.raises(CmflError, match="no attack '/real'"):
        leave_out(SAMPLES, ["/real"])


def test_something_has_to_stay() -> None:
    with pytest.raises(CmflError, match="without gan, sd no attack is left to train on"):
        leave_out(SAMPLES, ["gan", "sd"])
