"""Whether 8-bit weights can saturate, held against arithmetic that does."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from cmfl_export.runtime.onnx_reader import parse
from cmfl_export.runtime.portability import is_portable, layouts, saturating_pairs


def in_16_bits(weight: np.ndarray, values: np.ndarray, start: int) -> np.ndarray:
    """What x86 without VNNI makes of [O, K] times [K]: pairs from `start` on are added in 16 bits."""
    products = weight.astype(np.int64) * values
    pairs = products[:, start : start + (products.shape[1] - start) // 2 * 2]
    added = pairs.reshape(len(weight), -1, 2).sum(axis=2).clip(-(2**15), 2**15 - 1)
    total: np.ndarray = added.sum(axis=1) + products.sum(axis=1) - pairs.sum(axis=1)
    return total


def can_saturate(weight: np.ndarray) -> bool:
    """Tries the two inputs of each layout that drive its pairs furthest up and down."""
    for layout in layouts(weight):
        for start in (0, 1):
            for driven in (layout > 0, layout < 0):
                for row, on in zip(layout, driven, strict=True):
                    values = np.where(on, 255, 0)
                    if in_16_bits(row[None], values, start)[0] != row.astype(np.int64) @ values:
                        return True
    return False


@pytest.mark.parametrize("largest", [127, 100, 70, 65, 64, 40])
def test_the_count_says_what_saturating_arithmetic_does(largest: int) -> None:
    rng = np.random.default_rng(largest)
    seen = set()
    for shape in [(2, 6, 1, 1), (2, 3, 3, 3), (1, 4, 2, 2), (3, 5)] * 10:
        weight = rng.integers(-largest, largest + 1, shape).astype(np.int8)
        seen.add(saturating_pairs(weight) > 0)
        assert can_saturate(weight) == (saturating_pairs(weight) > 0)
    assert largest > 64 or seen == {False}
    assert largest < 127 or True in seen


@pytest.mark.parametrize(
    ("weights", "pairs"),
    [
        ([64, 64], 0),
        ([-64, -64], 0),
        ([127, 1], 0),
        ([127, 2], 2),
        ([127, -127], 0),
        ([-128, -1], 2),
        ([127, 0, 127], 0),
        ([65, 64, 64, 65], 4),
    ],
)
def test_pairs(weights: list[int], pairs: int) -> None:
    """Each counts in both layouts, which for a kernel of one pixel are the same."""
    assert saturating_pairs(np.array(weights, np.int8).reshape(1, -1, 1, 1)) == pairs


def test_both_layouts_count() -> None:
    weight = np.zeros((1, 2, 1, 3), np.int8)
    weight[0, :, 0, 1] = 100  # neighbours only where the channels come last
    assert saturating_pairs(weight) == 1
    weight = np.zeros((1, 2, 1, 3), np.int8)
    weight[0, 1, 0, :2] = 100  # neighbours only where the channels come first
    assert saturating_pairs(weight) == 1


@pytest.mark.parametrize("operator", ["Conv", "MatMul", "Gemm"])
@pytest.mark.parametrize(("second", "portable"), [(1, True), (2, False)])
def test_of_a_file(operator: str, second: int, portable: bool) -> None:
    values = np.array([[127, second]], np.int8)
    weight = values.reshape(1, 2, 1, 1) if operator == "Conv" else values.T.copy()
    nodes = [
        helper.make_node("DequantizeLinear", ["weight", "scale"], ["float_weight"]),
        helper.make_node(operator, ["input", "float_weight"], ["output"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "graph",
        [value("input", TensorProto.FLOAT, None)],
        [value("output", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.array(0.01, np.float32), "scale"),
        ],
    )
    assert is_portable(parse(helper.make_model(graph).SerializeToString())) is portable
