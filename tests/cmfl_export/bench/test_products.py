"""Matrix products and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.bench.products import Products, chain


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 1e-2), ("int8", 0.1)])
def test_the_graph_multiplies(precision: str, tolerance: float) -> None:
    matrix = np.random.default_rng(0).normal(0, 32**-0.5, (32, 32)).astype(np.float32)
    expected = (matrix @ matrix @ matrix @ matrix).mean()
    session = ort.InferenceSession(
        chain(32, 3, precision).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"x": np.ones(1, np.float32)})
    assert found.shape == (1, 1)
    scale = np.abs(matrix).mean()
    assert abs(found[0, 0] - expected) < tolerance * scale


@pytest.mark.parametrize(
    ("means", "precision"),
    [
        ("numpy", "fp32"),
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
        ("torch cpu", "fp32"),
        ("torch cpu", "bf16"),
        ("torch cpu", "tf32"),
    ],
)
def test_every_means_runs_and_says_how_much_it_was(means: str, precision: str) -> None:
    engine = Products(means, precision, 32, 1)
    assert engine.unit("products", 0.0)() == 4 * 2 * 32**3


def test_products_of_a_gpu_are_not_taken_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(CmflError, match=r"cuda was requested but|cannot load the model"):
        Products("cuda", "fp32", 32, 1)


def test_int8_is_computed_in_int8(tmp_path: Path) -> None:
    """Else it would be float32 between conversions, and no limit."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(
        chain(32, 3, "int8").SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    text = (tmp_path / "optimised.onnx").read_bytes()
    assert b"QLinearMatMul" in text or b"MatMulIntegerToFloat" in text
