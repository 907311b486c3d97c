from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from protocols.duplicates import MAX_DISTANCE, Pair, find_pairs, groups, perceptual_hash, thumbnail

COUNT = 120


def scene(seed: int) -> Image.Image:
    """Blobs of all sizes, as photographs have them."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((128, 128, 3))
    for side in (4, 8, 16, 32):
        layer = Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8))
        canvas += np.asarray(layer.resize((128, 128), Image.Resampling.BICUBIC), np.float64) / 4
    return Image.fromarray(canvas.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def scenes() -> list[Image.Image]:
    return [scene(seed) for seed in range(COUNT)]


def encoded(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def cropped(image: Image.Image) -> Image.Image:
    return image.crop((1, 1, 127, 127)).resize((128, 128), Image.Resampling.BICUBIC)


def pairs_of(images: list[Image.Image]) -> list[Pair]:
    digests = [number.to_bytes(4, "big") for number in range(len(images))]
    return find_pairs(digests, np.stack([thumbnail(image) for image in images]))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg": lambda image: encoded(image, 40),
    "smaller": lambda image: image.resize((64, 64), Image.Resampling.LANCZOS),
    "larger": lambda image: image.resize((300, 300), Image.Resampling.BICUBIC),
    "stretched": lambda image: image.resize((160, 128), Image.Resampling.BICUBIC),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "cropped": cropped,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("mirrored", [False, True])
def test_every_copy_is_found_and_nothing_else(scenes: list[Image.Image], change: str, mirrored: bool) -> None:
    copies = [CHANGES[change](image) for image in scenes[:30]]
    if mirrored:
        copies = [ImageOps.mirror(image) for image in copies]
    found = pairs_of(scenes + copies)
    assert {pair[:2] for pair in found} == {(number, COUNT + number) for number in range(30)}
    assert {pair.mirrored for pair in found} == {mirrored}


def test_identical_files_are_paired_with_the_first(scenes: list[Image.Image]) -> None:
    thumbnails = np.stack([thumbnail(scenes[0])] * 3 + [thumbnail(scenes[1])])
    found = find_pairs([b"a", b"a", b"a", b"b"], thumbnails)
    assert found == [Pair(0, 1, 1.0, False), Pair(0, 2, 1.0, False)]


def test_pictures_without_detail_are_no_duplicates_of_each_other() -> None:
    flat = [Image.new("RGB", (64, 64), (level, level, level)) for level in (0, 90, 91, 255)]
    ramp = Image.fromarray(np.tile(np.arange(128, dtype=np.uint8), (128, 1))).convert("RGB")
    assert pairs_of([*flat, ramp, ramp.rotate(90)]) == []


def test_none_and_one() -> None:
    assert find_pairs([], np.empty((0, 32, 32), np.uint8)) == []
    assert find_pairs([b"a"], thumbnail(scene(0))[None]) == []


def test_the_search_finds_all_pairs_that_comparing_each_with_each_finds() -> None:
    """Scenes mixed with one another, so that hashes are 0 to 7 bits apart, against the exhaustive search."""
    base = np.stack([thumbnail(scene(seed)) for seed in range(60)]).astype(np.float64)
    mixed = [(1 - share) * base + share * np.roll(base, 1, axis=0) for share in (0, 0.1, 0.2, 0.3)]
    thumbnails = np.concatenate(mixed).astype(np.uint8)
    hashes = perceptual_hash(thumbnails)
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1).astype(int)
    distance = (bits[:, None] != bits[None]).sum(axis=2)
    close = {(i, j) for i, j in np.argwhere(distance <= MAX_DISTANCE).tolist() if i < j}
    found = find_pairs([number.to_bytes(4, "big") for number in range(len(thumbnails))], thumbnails)
    plain = {pair[:2] for pair in found if not pair.mirrored}
    alike = {(i, j) for i, j in close if detail_correlation(thumbnails[i], thumbnails[j]) >= 0.80}
    assert plain == alike
    assert {distance[pair] for pair in plain} == set(range(MAX_DISTANCE + 1))


def detail_correlation(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.ndimage import uniform_filter

    detail = [x - uniform_filter(x, 5, mode="nearest") for x in (a.astype(float), b.astype(float))]
    return float(np.corrcoef(detail[0].ravel(), detail[1].ravel())[0, 1])


def test_groups_are_what_pairs_connect() -> None:
    pairs = [Pair(1, 4, 1.0, False), Pair(4, 2, 0.9, False), Pair(7, 9, 1.0, True)]
    assert groups(10, pairs) == [[1, 2, 4], [7, 9]]
    assert groups(3, []) == []
