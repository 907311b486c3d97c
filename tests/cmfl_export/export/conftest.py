"""Reduced models, which take most of a minute each to make: once a session."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner

from cmfl_export.cli import app
from cmfl_export.export import calibration_images, int8
from cmfl_export.images.decoding import decode
from tests.conftest import MakeOnce, picture


class Variant(NamedTuple):
    """What `cmfl export --precision` wrote, and what it printed."""

    path: Path
    printed: str


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(32):
        Image.fromarray(picture(number)).save(folder / f"{number}.png")
    return folder


def few_images(patch: pytest.MonkeyPatch) -> None:
    """Eight to calibrate on, and eight to judge on."""
    for name in ("LEAST", "MOST_CALIBRATION", "MOST_HELD_OUT"):
        patch.setattr(calibration_images, name, 8)


def variant(precision: str, model: Path, pictures: Path, make_once: MakeOnce) -> Variant:
    # One of the eight may be decided otherwise: the lively network's heads magnify every error.
    options = ["--precision", precision, "--calibration", str(pictures), "--max-flips", "12.5"]

    def fill(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            few_images(patch)
            out = str(folder / "variant.onnx")
            result = CliRunner().invoke(app, ["export", str(model), *options, "-o", out])
        assert result.exit_code == 0, result.output
        (folder / "printed.txt").write_text(result.stdout, encoding="utf-8")

    folder = make_once(precision, fill)
    return Variant(folder / "variant.onnx", (folder / "printed.txt").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def int8_variant(model_file: Path, pictures: Path, make_once: MakeOnce) -> Variant:
    return variant("int8", model_file, pictures, make_once)


@pytest.fixture(scope="session")
def fp16_variant(model_file: Path, pictures: Path, make_once: MakeOnce) -> Variant:
    return variant("fp16", model_file, pictures, make_once)


@pytest.fixture(scope="session")
def coarse(model_file: Path, photographs: list[Path], make_once: MakeOnce) -> onnx.ModelProto:
    """What int8 would be with 4 bits instead of 8."""

    def fill(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(int8, "LEVELS", 15)
            images = np.stack([decode(path) for path in photographs[:2]])
            onnx.save(int8.quantise(onnx.load(model_file), images), folder / "coarse.onnx")

    return onnx.load(make_once("coarse", fill) / "coarse.onnx")
