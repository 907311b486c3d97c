"""The geometry of alignment: the transform, the resampling, the edges."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage.transform import SimilarityTransform

from cmfl_export.faces.crop import Similarity, align, similarity, template

# Of the face in a picture of 224 x 224 that is as it should be.
HERE = template()


def waves(size: int, period: float) -> Image.Image:
    """A pattern of waves in both directions."""
    y, x = np.mgrid[0:size, 0:size] + 0.5
    values = 128 + 60 * np.sin(2 * np.pi * x / period) + 60 * np.cos(2 * np.pi * y / period)
    return Image.fromarray(np.repeat(values[..., None], 3, axis=2).round().astype(np.uint8))


def test_the_template_is_arcfaces_shrunk_about_the_middle() -> None:
    expected = [(83.7, 105.1), (140.1, 104.8), (112.0, 137.2), (88.9, 170.2), (135.6, 169.9)]
    np.testing.assert_allclose(template(), expected, atol=0.06)
    np.testing.assert_allclose(template(1.0)[0], (2 * 38.2946, 2 * 51.6963))
    np.testing.assert_allclose((template(0.5) - 112) * 2, template(1.0) - 112)


@pytest.mark.parametrize("seed", range(5))
def test_the_transform_is_umeyamas(seed: int) -> None:
    """Against scikit-image, which takes the general way through a singular value decomposition."""
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(2, 5, 2)) * 50
    ours, theirs = similarity(source, target), SimilarityTransform.from_estimate(source, target)
    np.testing.assert_allclose(ours(source), theirs(source), atol=1e-9)
    assert ours.scale == pytest.approx(theirs.scale)
    np.testing.assert_allclose(ours.inverse(ours(source)), source, atol=1e-9)


def test_a_crop_in_place_stays_as_it_is() -> None:
    picture = waves(224, 12.5)
    crop = align(picture, HERE)
    assert crop.padding == 0
    assert crop.image.tobytes() == picture.tobytes()


@pytest.mark.parametrize(("scale", "degrees"), [(0.5, 0), (1.0, 20), (2.5, -35), (1.7, 45)])
def test_landmarks_come_to_their_places(scale: float, degrees: float) -> None:
    """A picture with a dark dot at each landmark: in the crop the dots are where the template says."""
    turn = Similarity(scale * np.exp(1j * np.radians(degrees)), 300 * scale + 250j * scale)
    places = turn(HERE)
    side = round(900 * scale)
    y, x = np.mgrid[0:side, 0:side] + 0.5
    values = np.full((side, side), 255.0)
    for px, py in places:
        values -= 200 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (4 * scale) ** 2))
    picture = Image.fromarray(values.round().astype(np.uint8)).convert("RGB")
    crop = align(picture, places)
    assert crop.padding == 0
    dark = 255.0 - np.asarray(crop.image)[..., 0]
    y, x = np.mgrid[0:224, 0:224] + 0.5
    for px, py in HERE:
        weight = dark * (np.hypot(x - px, y - py) < 10)
        found = (x * weight).sum() / weight.sum(), (y * weight).sum() / weight.sum()
        np.testing.assert_allclose(found, (px, py), atol=0.15)


def test_reduction_is_antialiased() -> None:
    """Waves too fine for the crop vanish, instead of coming back as coarse ones; coarse ones stay."""
    turn = Similarity(complex(8.0), complex(0))
    fine = np.asarray(align(waves(1792, 5.0), turn(HERE)).image, float)
    coarse = np.asarray(align(waves(1792, 160.0), turn(HERE)).image, float)
    assert fine[8:-8, 8:-8].std() < 2
    assert coarse.std() == pytest.approx(60, rel=0.05)


def test_edges_are_reflected_and_counted() -> None:
    picture = waves(224, 50.0)
    shifted = HERE - (56, 0)  # the crop begins 56 pixels left of the picture
    crop = align(picture, shifted)
    assert crop.padding == pytest.approx(0.25)
    pixels, source = np.asarray(crop.image), np.asarray(picture)
    assert np.array_equal(pixels[:, 56:], source[:, :168])
    assert np.array_equal(pixels[:, :56], source[:, 55::-1])


def test_a_tiny_picture_is_reflected_more_than_once() -> None:
    crop = align(waves(20, 8.0), HERE - 102)
    assert crop.image.size == (224, 224)
    assert crop.padding == pytest.approx(1 - (20 / 224) ** 2, abs=0.002)
    assert np.asarray(crop.image).std() > 20


def test_the_scale_of_the_face() -> None:
    picture = waves(900, 40.0)
    places = HERE + 300
    sizes = [similarity(places, template(scale)).scale for scale in (0.4, 0.8, 1.6)]
    assert sizes == pytest.approx([0.5, 1.0, 2.0])
    small, large = (np.asarray(align(picture, places, face_scale=scale).image, float) for scale in (0.4, 0.8))
    # The middle of the small crop is the large one, reduced.
    reduced = np.asarray(
        Image.fromarray(large.astype(np.uint8)).resize((112, 112), Image.Resampling.BICUBIC), float
    )
    assert np.abs(small[60:164, 60:164] - reduced[4:-4, 4:-4]).mean() < 1.5
