"""Heatmaps and spectra as pictures."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cmfl_export.report import heatmaps
from tests.cmfl_export import tiny_model


def test_the_colour_scale_grows_in_light_and_opacity() -> None:
    scale = heatmaps.colours().astype(int)
    assert scale.shape == (256, 4)
    assert scale[0, 3] == 0
    assert (np.diff(scale[:, 3]) >= 0).all()
    light = (scale[:, :3] @ [0.2126, 0.7152, 0.0722]) * scale[:, 3]
    assert (np.diff(light) >= 0).all()


def test_levels_are_shares_of_the_peak() -> None:
    heatmap = np.zeros((14, 14), np.float32)
    heatmap[0, :3] = 0.01, 0.02, np.nan
    levels = heatmaps.levels(heatmap)
    assert levels.dtype == np.uint8
    assert levels[0, :3].tolist() == [128, 255, 0]
    assert not levels[1:].any()
    assert not heatmaps.levels(np.zeros((14, 14), np.float32)).any()


def test_an_overlay_covers_its_place_and_nothing_else() -> None:
    picture = np.full((224, 224), 100, np.uint8)
    heatmap = np.zeros((14, 14), np.float32)
    heatmap[2, 11] = 3.0
    shown = heatmaps.overlay(picture, heatmap)
    assert shown.shape == (224, 224, 3)
    changed = np.argwhere((shown != 100).any(axis=-1))
    assert changed.min(axis=0) == pytest.approx([24, 168], abs=9)
    assert changed.max(axis=0) == pytest.approx([56, 200], abs=9)
    red, _, blue = shown[40, 184].tolist()
    assert red > 200 > blue + 100
    assert (heatmaps.overlay(picture, heatmap, 0.0) == 100).all()
    colour = np.dstack([picture, picture, picture])
    assert (heatmaps.overlay(colour, heatmap) == shown).all()


def test_the_grey_spectrum_is_the_mean_of_the_channels() -> None:
    spectrum = np.zeros((3, 4, 4), np.float32)
    spectrum[:, 0, 0] = 1
    spectrum[:, 0, 1] = -1
    spectrum[0, 0, 2] = 1
    spectrum[1, 1, 1] = np.nan
    assert heatmaps.grey_spectrum(spectrum)[0].tolist() == [255, 0, 170, 128]
    assert heatmaps.grey_spectrum(spectrum)[1, 1] == 0


def test_jpeg_holds_colour_and_grey() -> None:
    for shape in ((8, 8, 3), (8, 8)):
        image = Image.open(io.BytesIO(heatmaps.jpeg(np.full(shape, 90, np.uint8), 75)))
        assert image.format == "JPEG"
        assert image.mode == ("RGB" if len(shape) == 3 else "L")
        assert np.asarray(image).mean() == pytest.approx(90, abs=2)


@pytest.mark.parametrize(
    ("outputs", "spectra", "lacking"),
    [
        ((), "multi", ["heatmap", "spectrum"]),
        (("spectrum",), "multi", ["heatmap"]),
        (("heatmap_rgb", "heatmap_spectrum"), "multi", ["spectrum"]),
        (("heatmap_rgb",), "rgb", []),
        ((), "rgb", ["heatmap"]),
        (("heatmap_spectrum", "spectrum"), "fft", []),
    ],
)
def test_what_a_model_lacks(outputs: tuple[str, ...], spectra: str, lacking: list[str]) -> None:
    card = replace(tiny_model.card(("p_real", *outputs)), spectra=spectra)
    assert heatmaps.lacking(card) == lacking
