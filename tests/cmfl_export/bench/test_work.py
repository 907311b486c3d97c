"""The arithmetic of a network, counted by hand and in a real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cmfl_export.bench.work import multiply_adds, operations


def graph(nodes: list[onnx.NodeProto], constants: dict[str, list[int]]) -> onnx.ModelProto:
    """x [batch, 4, 10, 10] -> y, with constants of these shapes."""
    tensors = [numpy_helper.from_array(np.zeros(dims, np.float32), name) for name, dims in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 10, 10])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    whole = helper.make_graph(nodes, "g", [x], [y], tensors)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def test_convolution() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2])
    # 6 maps of 4 x 4, each point a sum over 4 channels and 3 x 3 places.
    assert multiply_adds(graph([node], {"w": [6, 4, 3, 3]})) == 6 * 4 * 4 * 4 * 3 * 3


def test_grouped_convolution() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=4)
    assert multiply_adds(graph([node], {"w": [4, 1, 3, 3]})) == 4 * 8 * 8 * 9


def test_matrix_product_with_the_constant_on_either_side() -> None:
    right = helper.make_node("MatMul", ["x", "w"], ["y"])
    assert multiply_adds(graph([right], {"w": [10, 7]})) == 4 * 10 * 7 * 10
    left = helper.make_node("MatMul", ["w", "x"], ["y"])
    assert multiply_adds(graph([left], {"w": [3, 10]})) == 4 * 3 * 10 * 10


@pytest.mark.parametrize(("transposed", "shape"), [(0, [400, 5]), (1, [5, 400])])
def test_fully_connected(transposed: int, shape: list[int]) -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["y"], transB=transposed),
    ]
    assert multiply_adds(graph(nodes, {"w": shape})) == 400 * 5


def test_other_operators_are_not_counted(tmp_path: Path) -> None:
    model = graph([helper.make_node("Relu", ["x"], ["y"])], {})
    assert multiply_adds(model) == 0
    onnx.save(model, tmp_path / "m.onnx")
    assert operations(tmp_path / "m.onnx") is None


def test_the_two_stream_network(model_file: Path) -> None:
    """METHOD: 4.58 GMAC a branch, of which the transitions, on averaged maps, take a quarter of their share;
    and six products for each channel of the half of the spectrum, from folded rows."""
    transitions = 384 * 192 * 56**2 + 768 * 384 * 28**2
    spectrum = 3 * 113 * 224 * (113 + 111 + 4 * 113)
    expected = 2 * (4.58e9 - 0.75 * transitions) + spectrum
    assert operations(model_file) == pytest.approx(2 * expected, rel=0.002)
