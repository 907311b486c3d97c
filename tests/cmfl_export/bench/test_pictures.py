"""The images to measure with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.bench import pictures


def test_drawn_ones_for_the_time_of_the_block() -> None:
    with pictures.pictures(None) as (paths, words):
        assert len(paths) == pictures.DRAWN == len(set(paths))
        with Image.open(paths[0]) as image:
            assert (image.size, image.mode, image.format) == ((224, 224), "RGB", "JPEG")
        # As large as a face of this size and quality.
        sizes = [Path(path).stat().st_size for path in paths]
        assert 5_000 < np.median(sizes) < 20_000
        assert words == "64 drawn images, 224 px JPEG of quality 75"
    assert not Path(paths[0]).parent.exists()


def test_of_the_user_in_an_order_that_mixes_the_folders(tmp_path: Path) -> None:
    for number in range(40):
        folder = tmp_path / ("real" if number < 20 else "synthetic")
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.png").touch()
    with pictures.pictures(tmp_path) as (paths, words), pictures.pictures(tmp_path) as (again, _):
        assert words == f"40 images of {tmp_path}"
        assert paths == again
        assert len(set(paths)) == 40
        assert 2 < sum("real" in path for path in paths[:20]) < 18


def test_a_large_folder_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_MOST", 3)
    for number in range(5):
        (tmp_path / f"{number}.png").touch()
    with pictures.pictures(tmp_path) as (paths, words):
        assert len(paths) == 3
        assert words.startswith("3 images of ")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(CmflError, match="no images found in"), pictures.pictures(tmp_path):
        pass
