from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cmfl_export.base.errors import CmflError
from protocols.separability import categorical, learnt, ordered, require_sklearn, split_folds


def classes(real: int, synthetic: int) -> np.ndarray:
    return np.arange(real + synthetic) < real


def folds_of(is_real: np.ndarray) -> np.ndarray:
    return split_folds([str(number) for number in range(len(is_real))], is_real, 0)


def test_the_area_is_scikit_learns_with_ties_and_in_the_better_direction() -> None:
    rng = np.random.default_rng(0)
    is_real = rng.random(500) < 0.4
    values = rng.integers(0, 6, 500) + 2 * is_real
    assert ordered(values, is_real).value == pytest.approx(roc_auc_score(is_real, values))
    assert ordered(-values, is_real).value == pytest.approx(roc_auc_score(is_real, values))


def test_five_images_apart_by_chance_are_no_alarm_and_a_hundred_are() -> None:
    few, many = classes(5, 5), classes(100, 100)
    assert ordered(few, few).low < 0.55
    assert ordered(many, many).low > 0.9


def test_the_interval_covers_the_truth() -> None:
    """Two normal classes one standard deviation apart: the true area is 0.760."""
    rng = np.random.default_rng(1)
    is_real = classes(60, 90)
    areas = [ordered(rng.normal(is_real, 1), is_real) for _ in range(400)]
    assert np.mean([area.low <= 0.760 <= area.high for area in areas]) > 0.99
    assert np.mean([area.low <= 0.5 for area in areas]) < 0.1


def test_ties_narrow_the_interval_as_far_as_they_should() -> None:
    """A mark on 15 % of one class: the share's own 99.9 % interval is 11 to 19 %, half of it above 0.5."""
    is_real = classes(900, 900)
    area = ordered(np.arange(1800) < 135, is_real)
    assert area.value == pytest.approx(0.575)
    assert 0.54 < area.low < 0.56
    assert 0.59 < area.high < 0.61
    few = classes(10, 10)
    assert ordered(np.arange(20) < 3, few).low < 0.5


def test_one_label_says_exactly_nothing() -> None:
    is_real = classes(37, 61)
    assert categorical(np.full(98, "JPEG"), is_real, folds_of(is_real)).value == 0.5


def test_labels_in_no_order_separate() -> None:
    is_real = classes(100, 100)
    labels = np.where(is_real, np.where(np.arange(200) % 2, "512", "2048"), "1024")
    assert categorical(labels, is_real, folds_of(is_real)).value == 1.0


def test_a_label_of_each_image_its_own_says_nothing() -> None:
    is_real = classes(100, 100)
    labels = np.array([str(number) for number in range(200)])
    assert categorical(labels, is_real, folds_of(is_real)).value == 0.5


def test_a_marked_share_of_one_class_gives_half_of_it_above_chance() -> None:
    is_real = classes(500, 500)
    labels = np.where(np.arange(1000) < 150, "grey", "colour")
    assert categorical(labels, is_real, folds_of(is_real)).value == pytest.approx(0.65, abs=0.01)


def test_learnt_finds_a_direction_and_not_noise() -> None:
    rng = np.random.default_rng(2)
    is_real = classes(150, 150)
    noise = rng.normal(size=(300, 31))
    assert 0.4 < learnt(noise, is_real, folds_of(is_real)).value < 0.6
    noise[is_real, 3] += 4
    assert learnt(noise, is_real, folds_of(is_real)).value > 0.98


def test_subjects_that_repeat_do_not_help() -> None:
    """Every subject has features of its own and a random class: only a leak could tell the class."""
    rng = np.random.default_rng(3)
    subject = np.repeat(np.arange(60), 5)
    is_real = (rng.random(60) < 0.5)[subject]
    features = rng.normal(size=(60, 40))[subject] + rng.normal(0, 0.01, (300, 40))
    named = [str(number) for number in subject]
    assert learnt(features, is_real, split_folds(named, is_real, 0)).value < 0.7
    assert learnt(features, is_real, folds_of(is_real)).value > 0.95


def test_folds_keep_subjects_whole_and_spread_both_classes() -> None:
    subjects = [f"s{number // 3}" for number in range(90)] + [f"g{number}" for number in range(45)]
    is_real = classes(90, 45)
    folds = split_folds(subjects, is_real, 0)
    assert len({(subject, fold) for subject, fold in zip(subjects, folds, strict=True)}) == 30 + 45
    for side in (is_real, ~is_real):
        assert np.ptp(np.bincount(folds[side], minlength=5)) <= 3
    assert (folds == split_folds(subjects, is_real, 0)).all()
    assert (folds != split_folds(subjects, is_real, 1)).any()


def test_one_subject_of_a_class_cannot_be_judged() -> None:
    is_real = classes(10, 10)
    folds = split_folds(["s"] * 10 + [str(number) for number in range(10)], is_real, 0)
    assert categorical(np.where(is_real, "a", "b"), is_real, folds) == (0.5, 0.0, 1.0)


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(CmflError, match=r"cmfl-export\[evaluate\]"):
        require_sklearn()
