"""Exported models on an NVIDIA GPU: the same scores and decisions as on the CPU, whatever the batches are."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cmfl_export.base.errors import ProviderError
from cmfl_export.detector import Detector
from cmfl_export.export import Limits
from cmfl_export.export import export as export_model
from cmfl_export.runtime import TOLERANCES, providers
from cmfl_export.runtime.session import Session
from models_zoo import registry
from tests.conftest import picture

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]
PRECISIONS = ("fp32", "int8", "fp16")
IMAGES = 12


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(32):
        Image.fromarray(picture(number)).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def models(images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The starter by precision; fp16 is made of fp32, whatever its decisions on drawn pictures."""
    found = registry.get("starter")
    files = {file.variant: path for file in found.manifest.files if (path := found.path_of(file)) is not None}
    half = tmp_path_factory.mktemp("fp16") / "fp16.onnx"
    export_model(files["fp32"], half, precision="fp16", calibration=images, limits=Limits(1.0, 1.0))
    return {"fp32": files["fp32"], "int8": files["int8"], "fp16": half}


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.stack([picture(number) for number in range(IMAGES)])


@pytest.fixture(scope="module")
def on_cpu(models: dict[str, Path], pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """All scores by precision, [score, image]."""
    return {name: scores(Session.open(path, "onnxruntime"), pixels) for name, path in models.items()}


def scores(session: Session, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.stack(list(session.run(pixels, session.score_outputs).values()))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("provider", ["cuda", "cuda-graph"])
def test_scores_are_those_of_the_cpu(
    provider: str,
    precision: str,
    models: dict[str, Path],
    pixels: NDArray[np.uint8],
    on_cpu: dict[str, NDArray[np.float32]],
) -> None:
    session = Session.open(models[precision], provider)
    assert session.provider == provider
    # The second run replays what the first one has recorded.
    for _ in range(2):
        np.testing.assert_allclose(scores(session, pixels), on_cpu[precision], atol=TOLERANCES[precision])


@pytest.mark.parametrize("provider", ["cuda", "cuda-graph"])
def test_each_image_has_its_own_score_in_the_last_batch(
    provider: str, models: dict[str, Path], pixels: NDArray[np.uint8], on_cpu: dict[str, NDArray[np.float32]]
) -> None:
    detector = Detector(models["fp32"], provider=provider, batch_size=4, align=None)
    rows = detector.predict(list(pixels[:7]))
    expected = [detector.card.calibrated(float(p)) for p in on_cpu["fp32"][0, :7]]
    assert [row.p_real for row in rows] == pytest.approx(expected, abs=TOLERANCES["fp32"])


def test_graphs_of_two_batch_sizes_in_turn(
    models: dict[str, Path], pixels: NDArray[np.uint8], on_cpu: dict[str, NDArray[np.float32]]
) -> None:
    session = Session.open(models["fp32"], "cuda-graph")
    for part in (slice(0, 4), slice(4, 6), slice(6, 10), slice(10, 12), slice(2, 6)):
        found = scores(session, np.ascontiguousarray(pixels[part]))
        np.testing.assert_allclose(found, on_cpu["fp32"][:, part], atol=TOLERANCES["fp32"], err_msg=str(part))


class TestMemory:
    @pytest.fixture
    def little_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A GPU of 512 MiB: enough for the weights, and for a few images."""
        requested = providers.requested

        def limited(name: str) -> list[tuple[str, dict[str, str]]]:
            first, *rest = requested(name)
            return [(first[0], first[1] | {"gpu_mem_limit": str(1 << 29)}), *rest]

        monkeypatch.setattr(providers, "requested", limited)

    def test_a_lack_of_it_is_one_line(
        self, little_memory: None, models: dict[str, Path], pixels: NDArray[np.uint8]
    ) -> None:
        session = Session.open(models["fp32"], "cuda")
        with pytest.raises(ProviderError, match="a smaller batch needs less memory") as info:
            session.run(np.zeros((512, *pixels.shape[1:]), np.uint8))
        assert "\n" not in str(info.value)
        assert np.isfinite(scores(session, pixels[:1])).all()


def test_the_command_decides_as_on_the_cpu(models: dict[str, Path], images: Path, tmp_path: Path) -> None:
    def rows(provider: str) -> list[tuple[Any, ...]]:
        out = tmp_path / f"{provider}.csv"
        command = [
            "predict",
            "--model",
            models["fp32"],
            images,
            "--align",
            "none",
            "--provider",
            provider,
            "-o",
            out,
        ]
        subprocess.run(
            [sys.executable, "-m", "cmfl_export", *map(str, command)], cwd=ROOT, check=True, timeout=300
        )
        with out.open(newline="", encoding="utf-8") as file:
            return [(row["path"], row["decision"], row["status"]) for row in csv.DictReader(file)]

    found = rows("cuda")
    assert len(found) == 32
    assert found == rows("onnxruntime")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_tensorrt(
    precision: str,
    models: dict[str, Path],
    pixels: NDArray[np.uint8],
    on_cpu: dict[str, NDArray[np.float32]],
) -> None:
    """The last one: it builds an engine, for minutes."""
    trouble = providers.trouble("tensorrt")
    if trouble is not None:
        pytest.skip(f"tensorrt does not load: {trouble.cause}")
    session = Session.open(models[precision], "tensorrt")
    np.testing.assert_allclose(scores(session, pixels), on_cpu[precision], atol=TOLERANCES[precision])
