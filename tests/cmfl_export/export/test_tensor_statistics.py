"""Ranges and moments of a small graph, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from cmfl_export.export import tensor_statistics


@pytest.fixture
def model() -> ModelProto:
    """image, uint8 [n, 8, 8, 3] -> channels first -> a convolution of 3x3, stride 2, padded."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "Conv", ["planes", "w"], ["out"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
        ),
    ]
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8)


@pytest.fixture
def batches() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (n, 8, 8, 3)).astype(np.uint8) for n in (3, 2)]


def test_ranges_are_over_all_batches(model: ModelProto, batches: list[np.ndarray]) -> None:
    found = tensor_statistics.ranges(model, ["planes", "planes"], batches)["planes"]
    every = np.concatenate(batches).astype(float)
    np.testing.assert_array_equal(found.low, every.min((0, 1, 2)))
    np.testing.assert_array_equal(found.high, every.max((0, 1, 2)))


def test_moments_are_of_what_the_kernel_covers(model: ModelProto, batches: list[np.ndarray]) -> None:
    mean, covariance = tensor_statistics.moments(model, [model.graph.node[2]], batches)["out"]
    planes = np.concatenate(batches).transpose(0, 3, 1, 2).astype(float)
    padded = np.pad(planes, ((0, 0), (0, 0), (1, 1), (1, 1)))
    # All 16 places are looked at, as there are fewer than 200.
    rows = [
        padded[:, :, y : y + 3, x : x + 3].reshape(len(planes), -1)
        for y in (0, 2, 4, 6)
        for x in (0, 2, 4, 6)
    ]
    expected = np.concatenate(rows)
    np.testing.assert_allclose(mean, expected.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(covariance, np.cov(expected, rowvar=False, bias=True), rtol=1e-3, atol=1.0)
