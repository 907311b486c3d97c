"""Degradations: they do what their names say, in the dose that is asked for, and the same each time."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.images.degradations import FAMILIES, Degradation, parse_degradations
from tests.conftest import picture

IMAGE = picture(3)


def damage(image: np.ndarray, label: str, name: str = "a.png") -> np.ndarray:
    return parse_degradations([label])[0].apply(image, name)


def difference(label: str) -> float:
    return float(np.abs(damage(IMAGE, label).astype(float) - IMAGE).mean())


def high_frequencies(image: np.ndarray) -> float:
    """Mean power beyond half of the highest frequency, in each axis."""
    power = np.abs(np.fft.fft2(image.astype(float).mean(-1))) ** 2
    return float(power[56:168, 56:168].mean())


@pytest.mark.parametrize("label", ["jpeg:75", "webp:80", "blur:1", "resize:0.5", "noise:5"])
def test_gives_a_new_image_of_the_same_shape(label: str) -> None:
    before = IMAGE.copy()
    found = damage(IMAGE, label)
    assert found.dtype == np.uint8
    assert found.shape == IMAGE.shape
    assert (before == IMAGE).all()
    assert not np.shares_memory(found, IMAGE)
    assert (found != IMAGE).any()
    assert (found == damage(IMAGE, label)).all()


@pytest.mark.parametrize(
    ("milder", "harsher"),
    [
        ("jpeg:95", "jpeg:30"),
        ("webp:95", "webp:30"),
        ("blur:0.5", "blur:3"),
        ("resize:0.9", "resize:0.25"),
        ("noise:2", "noise:20"),
    ],
)
def test_more_is_worse(milder: str, harsher: str) -> None:
    assert difference(milder) < difference(harsher)


def test_jpeg_is_what_pillow_writes() -> None:
    buffer = io.BytesIO()
    Image.fromarray(IMAGE).save(buffer, "JPEG", quality=40)
    np.testing.assert_array_equal(damage(IMAGE, "jpeg:40"), np.array(Image.open(buffer)))


@pytest.mark.parametrize("label", ["blur:2", "resize:0.4"])
def test_blur_and_resize_take_away_high_frequencies(label: str) -> None:
    assert high_frequencies(damage(IMAGE, label)) < 0.1 * high_frequencies(IMAGE)


def test_blur_is_a_gaussian_of_that_sigma() -> None:
    """The variance of a blurred point is sigma squared in each axis."""
    point = np.zeros((61, 61, 3), np.uint8)
    point[30, 30] = 255
    # A single point of 255 would round to nothing; a column of them does not.
    point[:, 30] = 255
    profile = damage(point, "blur:3")[30, :, 0].astype(float)
    x = np.arange(61) - 30
    assert (profile * x**2).sum() / profile.sum() == pytest.approx(9.0, rel=0.06)


def test_noise_has_that_deviation_and_is_of_the_name_and_seed() -> None:
    grey = np.full((224, 224, 3), 128, np.uint8)
    noise = damage(grey, "noise:5").astype(float) - 128
    assert noise.std() == pytest.approx(5.0, rel=0.02)
    assert noise.mean() == pytest.approx(0.0, abs=0.05)
    assert (damage(grey, "noise:5") == damage(grey, "noise:5")).all()
    assert (damage(grey, "noise:5", "a.png") != damage(grey, "noise:5", "b.png")).any()
    other = parse_degradations(["noise:5"], seed=1)[0].apply(grey, "a.png")
    assert (damage(grey, "noise:5") != other).any()
    # Names that are not UTF-8 are names, too.
    assert damage(grey, "noise:5", "\udc80.png").shape == grey.shape


def test_parses_families_and_doses_in_order() -> None:
    found = parse_degradations(["jpeg:95,30", "blur:1.5"], seed=7)
    assert found == [
        Degradation("jpeg", 95, 7),
        Degradation("jpeg", 30, 7),
        Degradation("blur", 1.5, 7),
    ]
    assert [d.label for d in found] == ["jpeg 95", "jpeg 30", "blur 1.5"]
    assert parse_degradations([]) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sepia:3", "unknown degradation 'sepia'.*jpeg, webp, blur, resize, noise"),
        ("jpeg", "'' in 'jpeg' is not a number; write for instance jpeg:75"),
        ("jpeg:high", "'high' in 'jpeg:high' is not a number"),
        ("jpeg:0", "jpeg takes whole qualities from 1 to 100, not 0"),
        ("jpeg:101", "whole qualities"),
        ("jpeg:75.5", "whole qualities"),
        ("webp:0", "whole qualities"),
        ("blur:0", "blur takes a Gaussian's sigma"),
        ("blur:nan", "sigma"),
        ("resize:1", "resize takes a factor between 0 and 1"),
        ("resize:0", "factor"),
        ("noise:-1", "grey levels"),
        ("noise:inf", "grey levels"),
        ("jpeg:75,75", "jpeg 75 is given twice"),
    ],
)
def test_refuses(spec: str, message: str) -> None:
    with pytest.raises(CmflError, match=message):
        parse_degradations([spec])


def test_every_family_says_what_it_takes() -> None:
    assert set(FAMILIES) == {"jpeg", "webp", "blur", "resize", "noise"}
    assert all(FAMILIES.values())
