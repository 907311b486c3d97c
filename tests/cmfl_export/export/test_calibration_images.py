"""Which images calibrate a reduced precision, and which judge it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.export import calibration_images
from cmfl_export.export.calibration_images import read
from protocols import Sample, write_split


def shade(number: int, channel: int) -> Image.Image:
    pixels = np.zeros((224, 224, 3), np.uint8)
    pixels[..., channel] = number + 1
    return Image.fromarray(pixels)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """60 red images in one folder, 20 green ones in another."""
    for name, count, channel in (("red", 60, 0), ("green", 20, 1)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(count):
            shade(number, channel).save(tmp_path / "data" / name / f"{number:02}.png")
    return tmp_path / "data"


def identities(pixels: np.ndarray) -> set[bytes]:
    return {image[0, 0].tobytes() for image in pixels}


def test_a_folder_is_halved_in_proportion(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = read(root, None, aligned=True)
    first, second = images.calibration, images.held_out
    assert len(first.pixels) == len(second.pixels) == 40
    assert not identities(first.pixels) & identities(second.pixels)
    assert first.is_real is second.is_real is None
    assert images.source == "folder data, seed 0"
    monkeypatch.setattr(calibration_images, "MOST_CALIBRATION", 20)
    few = read(root, None, aligned=True).calibration.pixels
    assert 4 <= (few[:, 0, 0, 1] > 0).sum() <= 6  # a quarter of them green
    assert identities(few) != identities(read(root, None, aligned=True, seed=1).calibration.pixels)
    assert identities(few) == identities(read(root, None, aligned=True).calibration.pixels)


def test_a_protocol_is_balanced_and_its_splits_keep_apart(root: Path, tmp_path: Path) -> None:
    def rows(reds: range, greens: range) -> list[Sample]:
        return [Sample(f"r{n}", f"red/{n:02}.png", "") for n in reds] + [
            Sample(f"g{n}", f"green/{n:02}.png", "green") for n in greens
        ]

    write_split(rows(range(30), range(10)), tmp_path / "protocol" / "train.csv")
    write_split(rows(range(30, 60), range(10, 20)), tmp_path / "protocol" / "dev.csv")
    images = read(tmp_path / "protocol", root, aligned=True)
    for part, numbers in ((images.calibration, range(1, 31)), (images.held_out, range(31, 61))):
        assert part.is_real is not None
        assert sum(part.is_real) == len(part.is_real) / 2 == 10
        red = part.pixels[:, 0, 0, 0]
        assert [bool(value) for value in red] == list(part.is_real)
        assert {int(value) for value in red[red > 0]} <= set(numbers)

    write_split(rows(range(40), range(20)), tmp_path / "one.csv")
    images = read(tmp_path / "one.csv", root, aligned=True)
    assert not identities(images.calibration.pixels) & identities(images.held_out.pixels)
    assert [sum(part.is_real or ()) for part in (images.calibration, images.held_out)] == [10, 10]
    with pytest.raises(CmflError, match="data-root"):
        read(tmp_path / "one.csv", None, aligned=True)


def test_unreadable_files_are_passed_over_until_too_few_are_left(root: Path) -> None:
    for number in range(40):
        (root / "red" / f"{number:02}.png").write_bytes(b"no image")
    images = read(root, None, aligned=True)
    assert len(images.calibration.pixels) + len(images.held_out.pixels) == 40
    for number in range(40, 52):
        (root / "red" / f"{number:02}.png").write_bytes(b"no image")
    with pytest.raises(CmflError, match="at least 16 are needed"):
        read(root, None, aligned=True)
