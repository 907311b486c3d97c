"""What the tests of the deploy side share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import onnx
import pytest
from PIL import Image

from cmfl_export.export import parity
from cmfl_export.images.sources import stores
from tests.cmfl_export import tiny_model
from tests.cmfl_export.browser import Browser, chromium
from training.weights import Weights, load_weights

if TYPE_CHECKING:
    from tests.cmfl_export.images.sources.store import Store


@pytest.fixture(scope="session")
def loaded(weights_file: Path) -> Weights:
    return load_weights(weights_file)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, loaded: Weights) -> None:
    """One batch size, and weights that are read once: what does not matter to what is being shown."""
    monkeypatch.setattr(parity, "BATCH_SIZES", (1,))
    monkeypatch.setattr(parity, "load", lambda *_: loaded)


@pytest.fixture(scope="session")
def graph(model_file: Path) -> onnx.ModelProto:
    return onnx.load(model_file)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See tiny_model: p_real is the mean of all pixels / 255."""
    return tiny_model.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures, of which the last is bright, one in a subfolder with a space, and one that is none."""
    folder = tmp_path_factory.mktemp("faces")
    (folder / "sub folder").mkdir()
    for name, grey in (("a.png", 51), ("b.png", 102), ("sub folder/c.png", 204)):
        Image.new("RGB", (224, 224), (grey, grey, grey)).save(folder / name)
    (folder / "bad.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests of pages."""
    with chromium(tmp_path_factory.mktemp("profile")) as window:
        yield window


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server that speaks S3."""
    from tests.cmfl_export.images.sources import store

    with store.server() as address:
        yield address


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty bucket; nothing waits before it tries again."""
    from tests.cmfl_export.images.sources import store

    monkeypatch.setattr(stores, "FIRST_PAUSE", 0.0)
    stores.forget()
    with store.bucket(s3_server, f"bucket-{uuid4().hex[:12]}", monkeypatch) as bucket:
        yield bucket
    stores.forget()
