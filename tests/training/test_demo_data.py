"""The data of the demo: from scikit-image's own files, reproducible, no pixel in two splits."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from cmfl_export.base.errors import CmflError
from protocols import missing_files, read_protocol
from training import demo_data
from training.demo_data import make_demo_data


def test_makes_a_protocol_of_both_classes(tmp_path: Path) -> None:
    folder = make_demo_data(tmp_path / "demo", train=6, dev=3, evaluation=4)
    protocol = read_protocol(folder)
    assert folder == tmp_path / "demo" / "protocol"
    assert [len(rows) for rows in (protocol.train, protocol.dev, protocol.eval)] == [12, 6, 8]
    everything = protocol.train + protocol.dev + protocol.eval
    assert missing_files(everything, tmp_path / "demo") == []
    assert sum(row.is_real for row in everything) == 13
    assert len(list((tmp_path / "demo" / "eval").rglob("*.png"))) == 8
    pictures = []
    for row in everything:
        with Image.open(tmp_path / "demo" / row.filename) as image:
            assert (image.size, image.mode, image.format) == ((224, 224), "RGB", "PNG")
            pictures.append(np.asarray(image).tobytes())
        assert np.frombuffer(pictures[-1], np.uint8).std() >= 10
    assert len(set(pictures)) == len(pictures)


def test_the_seed_decides_everything(tmp_path: Path) -> None:
    contents = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_demo_data(tmp_path / name, seed, train=2, dev=1, evaluation=1)
        paths = sorted((tmp_path / name).rglob("*.png"))
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]
    assert all(a != c for a, c in zip(contents[0], contents[2], strict=True))


def test_no_pixel_is_in_two_splits() -> None:
    for a, b in combinations(demo_data._REGIONS, 2):
        for one in demo_data._REGIONS[a]:
            for other in demo_data._REGIONS[b]:
                if one.file == other.file:
                    left, top, right, bottom = one.part
                    left2, top2, right2, bottom2 = other.part
                    assert right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top


def test_other_contents_of_the_package_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_data, "_photographs", lambda: tmp_path)
    with pytest.raises(CmflError, match=r"astronaut\.png.*install scikit-image again"):
        make_demo_data(tmp_path / "demo")


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_data, "find_spec", Mock(return_value=None))
    with pytest.raises(CmflError, match=r"cmfl-export\[demo\]"):
        demo_data._photographs()
