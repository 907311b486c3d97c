"""The hash that decides: pinned, because another one would move people between train and eval."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmfl_export.base.errors import CmflError
from protocols import Sample
from protocols.splitting import by_place, check_shares, cut, place, split_of

SHARES = (0.7, 0.15, 0.15)


def samples(counts: dict[str, int]) -> list[Sample]:
    return [Sample(f"{a}{i}", f"{a}/{i}.png", a) for a, count in counts.items() for i in range(count)]


@pytest.mark.parametrize(
    ("subject", "salt", "expected", "split"),
    [
        ("a", "cmfl", 0.6529041819063662, "train"),
        ("b", "cmfl", 0.7956746067570285, "dev"),
        ("c", "cmfl", 0.9264645139839794, "eval"),
        ("person 1", "cmfl", 0.7997659461621492, "dev"),
        ("real_ffhq/ffhq_00600", "cmfl", 0.9731456789879553, "eval"),
        ("Zoë", "cmfl", 0.42688997098092185, "train"),
    ],
)
def test_places_are_pinned(subject: str, salt: str, expected: float, split: str) -> None:
    assert place(subject, salt) == expected
    assert split_of(subject, SHARES, salt) == split


def test_order_is_pinned_and_not_that_of_the_places() -> None:
    names = [f"{i}.png" for i in range(8)]
    assert by_place(names, "cmfl") == [f"{i}.png" for i in (6, 7, 3, 2, 5, 4, 0, 1)]
    assert by_place(reversed(names), "cmfl") == by_place(names, "cmfl")
    assert by_place(names, "cmfl") != sorted(names, key=lambda name: place(name, "cmfl"))


def test_composed_and_decomposed_letters_are_one_text() -> None:
    assert place("Zo\u00eb", "cmfl") == place("Zoe\u0308", "cmfl")
    assert 0 <= place("a\udc80", "cmfl") < 1


def test_salt_and_text_do_not_run_into_each_other() -> None:
    assert place("bc", "a") != place("c", "ab")
    assert place("a", "cmfl") != place("a", "cmfl2")


def test_shares_come_out() -> None:
    splits = [split_of(str(i), (0.5, 0.2, 0.3), "cmfl") for i in range(4000)]
    for split, share in (("train", 0.5), ("dev", 0.2), ("eval", 0.3)):
        assert splits.count(split) / 4000 == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(
    "shares", [(0.7, 0.3), (0.7, 0.3, 0.0), (1.2, -0.4, 0.2), (0.7, 0.2, 0.2), (70, 15, 15)]
)
def test_bad_shares(shares: tuple[float, ...]) -> None:
    with pytest.raises(CmflError, match=r"three numbers above 0 that add up to 1"):
        check_shares(shares)


@pytest.mark.parametrize("shares", [SHARES, (0.1, 0.2, 0.7), (1 / 3, 1 / 3, 1 / 3)])
def test_good_shares(shares: tuple[float, ...]) -> None:
    check_shares(shares)


@pytest.mark.parametrize(
    ("available", "count", "expected"),
    [
        ({"x": 10, "y": 10}, 10, {"x": 5, "y": 5}),
        ({"x": 10, "y": 2}, 10, {"x": 8, "y": 2}),
        ({"x": 2, "y": 9, "z": 9}, 11, {"x": 2, "y": 4, "z": 5}),
        ({"x": 3, "y": 3}, 6, {"x": 3, "y": 3}),
        ({"x": 3, "y": 3}, 1, {"y": 1}),
        ({"x": 3}, 0, {}),
    ],
)
def test_cut_is_even_and_what_one_lacks_the_others_give(
    available: dict[str, int], count: int, expected: dict[str, int]
) -> None:
    kept = [sample.attack_type for sample in cut(samples(available), count, "cmfl")]
    assert {attack: kept.count(attack) for attack in sorted(set(kept))} == expected


@given(
    available=st.dictionaries(st.sampled_from("uvxyz"), st.integers(1, 12), min_size=1),
    data=st.data(),
)
def test_cut_gives_what_is_asked_whatever_the_order(available: dict[str, int], data: st.DataObject) -> None:
    given_samples = samples(available)
    count = data.draw(st.integers(0, len(given_samples)))
    shuffled = list(given_samples)
    random.Random(0).shuffle(shuffled)
    kept = cut(shuffled, count, "cmfl")
    assert len(set(kept)) == len(kept) == count
    assert kept == cut(given_samples, count, "cmfl")
    assert kept == sorted(kept, key=lambda sample: sample.filename)
    per_type = {attack: sum(sample.attack_type == attack for sample in kept) for attack in available}
    cut_types = [n for attack, n in per_type.items() if n < available[attack]]
    if cut_types:
        assert max(per_type.values()) - min(cut_types) <= 1


def test_one_more_image_changes_one_at_most() -> None:
    before = set(cut(samples({"x": 50}), 20, "cmfl"))
    for size in range(51, 90):
        after = set(cut(samples({"x": size}), 20, "cmfl"))
        assert len(before - after) <= 1
        before = after
    assert before != set(cut(samples({"x": 50}), 20, "cmfl"))
