"""float16 trunks around a float32 spectrum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto

from cmfl_export.export.fp16 import halve
from cmfl_export.export.graph import Graph
from cmfl_export.images.decoding import decode


@pytest.fixture(scope="module")
def halved(model_file: Path) -> ModelProto:
    return halve(onnx.load(model_file))


def test_scores_and_spectrum(halved: ModelProto, model_file: Path, photographs: list[Path]) -> None:
    images = np.stack([decode(path) for path in photographs[:4]])
    names = [output.name for output in halved.graph.output]
    sessions = [
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        for model in (onnx.load(model_file), halved)
    ]
    before, after = (
        dict(zip(names, session.run(names, {"image": images}), strict=True)) for session in sessions
    )
    assert np.abs(before.pop("spectrum") - after.pop("spectrum")).max() < 2e-4
    assert {value.dtype for value in after.values()} == {np.dtype(np.float32)}
    assert 0 < np.abs(after["embedding"] - before["embedding"]).max() < 5e-3


def test_what_is_float16(halved: ModelProto, model_file: Path) -> None:
    onnx.checker.check_model(halved, full_check=True)
    types = {tensor.name: tensor.data_type for tensor in halved.graph.initializer}
    for node in Graph(halved).trunk():
        assert {types[name] for name in node.input if name in types} <= {TensorProto.FLOAT16}
    outside = {name: kind for name, kind in types.items() if "net.spectrum" in name or "head" in name}
    assert len(outside) > 6
    assert set(outside.values()) == {TensorProto.FLOAT}
    assert halved.ByteSize() < 0.55 * onnx.load(model_file).ByteSize()
