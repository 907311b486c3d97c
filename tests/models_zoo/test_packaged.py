"""The models that come with the package, and that a wheel holds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmfl_export.base.cache import CACHE_VARIABLE
from models_zoo import places, registry
from models_zoo.verify import verify
from training.config import TrainConfig

ROOT = Path(__file__).parents[2]
# PyPI takes files of up to 100 MB. Closer than this to it, weights have to be left to `cmfl zoo pull`.
MOST_TOGETHER = 90e6
MOST_FP32 = 30e6


def test_are_as_their_manifests_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The developer's own models are no concern of this.
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.delenv(places.MIRROR_VARIABLE, raising=False)
    for name in registry.names():
        model = registry.get(name)
        assert verify(name).ok, verify(name).lines()
        assert model.manifest.weights_of("fp32").size <= MOST_FP32
        TrainConfig.from_toml(model.folder / "recipe.toml")


def test_fit_into_a_wheel() -> None:
    assert sum(path.stat().st_size for path in places.packaged().rglob("*.onnx")) < MOST_TOGETHER


def test_are_in_the_wheel_and_in_git() -> None:
    """The build takes what git does not ignore; exported models elsewhere stay ignored."""
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert ignored.index("!models_zoo/*/*.onnx") > ignored.index("*.onnx")
    assert (
        '"models_zoo"' in (ROOT / "pyproject.toml").read_text().partition("wheel]")[2].partition("[tool.")[0]
    )
    # A changed line ending would change a hash.
    assert "models_zoo/*/* -text" in (ROOT / ".gitattributes").read_text().splitlines()
