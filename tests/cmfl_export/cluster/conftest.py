"""A job of a few images, as the tests of shards share it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cmfl_export.cluster import plan
from cmfl_export.predict import predict_to


@pytest.fixture(scope="package")
def job(tmp_path_factory: pytest.TempPathFactory, tiny_of_job: Path) -> Path:
    """A folder with 23 images, some of them none; their plan of 5 shards, and the rows of plain predict."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "images" / "sub").mkdir(parents=True)
    for number in range(20):
        name = f"{'sub/' if number % 4 == 3 else ''}{number:02}.png"
        Image.new("RGB", (224, 224), (number * 12, 30, 200 - number)).save(folder / "images" / name)
    (folder / "images" / "07a.jpg").write_bytes(b"no image")
    (folder / "images" / "07b.jpg").touch()
    (folder / "images" / "caf\udce9.jpg").write_bytes(b"")
    plan([str(folder / "images")], str(folder / "m.parquet"), shards=5)
    predict_to(tiny_of_job, [str(folder / "images")], folder / "all.csv", provider="cpu", threads=1)
    return folder


@pytest.fixture(scope="package")
def tiny_of_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, with a name of its own."""
    from tests.cmfl_export import tiny_model

    return tiny_model.write(tmp_path_factory.mktemp("model") / "tiny.onnx")
