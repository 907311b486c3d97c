"""The augmentation: what it does, how often, and that it does it again from the same numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from cmfl_export.images import add_noise, fit, recompress, resize_and_back
from tests.conftest import picture
from training.augment import JPEG_QUALITIES, augment, blur, degrade, random_resized_crop, resend

IMAGE = Image.fromarray(picture(0))
DEGRADATIONS = {function.__name__: function for function in (resize_and_back, add_noise, blur, recompress)}


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_same_numbers_same_sample() -> None:
    for aligned in (True, False):
        first = augment(IMAGE, rng(3), aligned=aligned, probability=0.5)
        assert first.shape == (224, 224, 3)
        assert first.dtype == np.uint8
        np.testing.assert_array_equal(first, augment(IMAGE, rng(3), aligned=aligned, probability=0.5))
    different = [augment(IMAGE, rng(seed), aligned=False, probability=0.5).tobytes() for seed in range(8)]
    assert len(set(different)) == 8


def test_without_degradation_an_aligned_image_is_itself_or_its_mirror() -> None:
    pixels = np.asarray(IMAGE)
    samples = [augment(IMAGE, rng(seed), aligned=True, probability=0.0) for seed in range(200)]
    same = sum(np.array_equal(sample, pixels) for sample in samples)
    mirrored = sum(np.array_equal(sample, pixels[:, ::-1]) for sample in samples)
    assert same + mirrored == 200
    assert 70 <= same <= 130


def test_a_sent_picture_has_met_one_of_three_things() -> None:
    pixels = np.asarray(IMAGE).astype(int)
    sent = [np.asarray(resend(IMAGE, rng(seed))) for seed in range(60)]
    assert all(image.shape == pixels.shape and image.dtype == np.uint8 for image in sent)
    np.testing.assert_array_equal(sent[5], np.asarray(resend(IMAGE, rng(5))))
    changes = [np.abs(image - pixels).mean() for image in sent]
    assert 0 < min(changes) < max(changes) < 20
    again = [recompress(IMAGE, quality, kind) for quality in range(50, 96) for kind in ("JPEG", "WEBP")]
    known = {np.asarray(image).tobytes() for image in again}
    compressed = sum(image.tobytes() in known for image in sent)
    assert 28 <= compressed <= 52


def test_sending_comes_last_and_only_where_it_is_asked_for() -> None:
    def sent(seed: int, resending: float) -> np.ndarray:
        return augment(IMAGE, rng(seed), aligned=True, probability=0.0, train=False, resending=resending)

    changed = sum(not np.array_equal(sent(seed, 0.5), np.asarray(IMAGE)) for seed in range(40))
    assert 10 <= changed <= 30
    # As `resend` does it, after the draws that decide on blur, JPEG and sending.
    random = rng(3)
    random.random(3)
    np.testing.assert_array_equal(sent(3, 1.0), np.asarray(resend(IMAGE, random)))


def test_dev_is_never_flipped_or_cropped_at_random() -> None:
    for seed in range(20):
        sample = augment(IMAGE, rng(seed), aligned=True, probability=0.0, train=False)
        np.testing.assert_array_equal(sample, np.asarray(IMAGE))


def test_a_crop_is_a_square_of_the_image_from_anywhere() -> None:
    pixels = np.asarray(IMAGE)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (200, 200), axis=(0, 1)).transpose(
        0, 1, 3, 4, 2
    )
    places = set()
    for seed in range(60):
        sample = augment(IMAGE, rng(seed), aligned=True, probability=0.0, crop=200)
        assert sample.shape == (200, 200, 3)
        # Mirrored or not, it stands somewhere in the image.
        for candidate in (sample, sample[:, ::-1]):
            corner = (windows[:, :, :2, :2] == candidate[:2, :2]).all(axis=(2, 3, 4))
            places |= {
                (top, left)
                for top, left in np.argwhere(corner)
                if np.array_equal(windows[top, left], candidate)
            }
    assert len(places) > 50
    assert max(top for top, _ in places) > 20
    assert min(left for _, left in places) < 4
    dev = augment(IMAGE, rng(0), aligned=True, probability=0.0, crop=200, train=False)
    assert dev.shape == (224, 224, 3)


def test_blur_is_scipys_on_each_channel() -> None:
    pixels = np.asarray(IMAGE)
    found = np.asarray(blur(IMAGE, 1.3))
    for channel in range(3):
        np.testing.assert_array_equal(found[..., channel], gaussian_filter(pixels[..., channel], 1.3))


def test_jpeg_is_pillows() -> None:
    coarse, fine = np.asarray(recompress(IMAGE, 60), int), np.asarray(recompress(IMAGE, 100), int)
    original = np.asarray(IMAGE, int)
    assert np.abs(coarse - original).mean() > np.abs(fine - original).mean() > 0


def test_how_often(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, float]] = []

    def recorded(name: str) -> Callable[[Image.Image, float], Image.Image]:
        def record(image: Image.Image, strength: float) -> Image.Image:
            calls.append((name, strength))
            return image

        return record

    monkeypatch.setattr("training.augment.blur", recorded("blur"))
    monkeypatch.setattr("training.augment.recompress", recorded("jpeg"))
    generator, n, both = rng(0), 4000, 0
    for _ in range(n):
        before = len(calls)
        degrade(IMAGE, generator, 0.5)
        both += len(calls) - before == 2
    sigmas = [value for kind, value in calls if kind == "blur"]
    qualities = [value for kind, value in calls if kind == "jpeg"]
    assert len(sigmas) / n == pytest.approx(0.5, abs=0.03)
    assert len(qualities) / n == pytest.approx(0.5, abs=0.03)
    assert both / n == pytest.approx(0.25, abs=0.03)  # independent
    assert 0 <= min(sigmas) < 0.02
    assert 1.98 < max(sigmas) <= 2
    counts = [qualities.count(quality) / len(qualities) for quality in JPEG_QUALITIES]
    assert JPEG_QUALITIES == (60, 70, 80, 90, 100)
    assert counts == pytest.approx([0.2] * 5, abs=0.03)
    calls.clear()
    degrade(IMAGE, generator, 0.0)
    assert not calls


@pytest.mark.parametrize("size", [(300, 200), (224, 224), (1, 1), (2000, 40), (30, 900)])
def test_random_crop_of_any_shape(size: tuple[int, int]) -> None:
    image = Image.fromarray(picture(1)).resize(size)
    for seed in range(20):
        assert random_resized_crop(image, rng(seed)).size == (224, 224)


def test_random_crop_takes_torchvisions_regions() -> None:
    """The share of the area that is kept is uniform over 8 to 100 %, as far as it fits; position varies."""
    y, x = np.mgrid[0:256, 0:256]
    ramps = Image.fromarray(np.stack([x, y, 0 * x], axis=-1).astype(np.uint8))
    shares = []
    for seed in range(300):
        crop = np.asarray(random_resized_crop(ramps, rng(seed)), int)
        width = crop[112, -1, 0] - crop[112, 0, 0] + 1
        height = crop[-1, 112, 1] - crop[0, 112, 1] + 1
        shares.append(width * height / 256**2)
    assert min(shares) < 0.15
    assert max(shares) > 0.85
    assert 0.4 < float(np.mean(shares)) < 0.6


@pytest.mark.parametrize(
    ("size", "expected"), [((900, 300), (768, 256)), ((40, 80), (256, 512)), ((1, 9000), (256, 2048))]
)
def test_size_comes_before_blur_and_jpeg(
    size: tuple[int, int], expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """METHOD: shorter side to 256, then the crop; for aligned images there is nothing but the 224 x 224."""
    seen: list[tuple[int, int]] = []

    def record(image: Image.Image, *_: object, **__: object) -> Image.Image:
        seen.append(image.size)
        return image

    monkeypatch.setattr("training.augment.degrade", record)
    image = Image.fromarray(picture(1)).resize(size)
    for train in (True, False):
        assert augment(image, rng(0), aligned=False, probability=0.5, train=train).shape == (224, 224, 3)
    augment(image, rng(0), aligned=True, probability=0.5)
    assert seen == [expected, expected, (224, 224)]


def test_augmented_dev_without_degradation_is_the_decoded_image() -> None:
    image = Image.fromarray(picture(2, 300)).resize((300, 420))
    found = augment(image, rng(0), aligned=False, probability=0.0, train=False)
    np.testing.assert_array_equal(found, np.asarray(fit(image, aligned=False)))


def counting(name: str, function: Callable[..., Image.Image], seen: list[str]) -> Callable[..., Image.Image]:
    def counted(*args: object) -> Image.Image:
        seen.append(name)
        return function(*args)

    return counted


def test_broad_degradation_reaches_colour_resolution_and_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    for name, function in DEGRADATIONS.items():
        monkeypatch.setattr(f"training.augment.{name}", counting(name, function, seen))
    small = IMAGE.resize((32, 32))
    for seed in range(200):
        degrade(small, rng(seed), 0.5, broad=True)
    assert all(70 <= seen.count(name) <= 130 for name in DEGRADATIONS)
    seen.clear()
    for seed in range(50):
        degrade(small, rng(seed), 1.0)
    assert set(seen) == {"blur", "recompress"}
    saturations = [
        np.ptp(np.asarray(degrade(IMAGE, rng(seed), 1.0, broad=True), float), axis=2).mean()
        for seed in range(30)
    ]
    whole = np.ptp(np.asarray(IMAGE, float), axis=2).mean()
    assert min(saturations) < 0.3 * whole
    assert max(saturations) > whole


def test_resizing_and_noise_do_what_they_say() -> None:
    detail = np.asarray(IMAGE, float).std()
    reduced = np.asarray(resize_and_back(IMAGE, 0.1, Image.Resampling.BILINEAR))
    assert reduced.shape == (224, 224, 3)
    assert reduced.astype(float).std() < detail
    grey = Image.new("RGB", (224, 224), (128, 128, 128))
    values = np.asarray(add_noise(grey, rng(0), 4.0), float)
    assert values.std() == pytest.approx(4.0, rel=0.05)
    assert abs(values.mean() - 128) < 0.1
