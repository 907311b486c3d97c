"""Counts the arithmetic of a network: the multiply-adds of its convolutions and matrix products."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto


def operations(path: Path) -> float | None:
    """Returns the operations per image, two per multiply-add; None if there are none, or onnx is missing.

    Only Conv, MatMul and Gemm count; all else is a few percent of the network.
    """
    try:
        import onnx
    except ImportError:
        return None
    return 2.0 * multiply_adds(onnx.load(path)) or None


def multiply_adds(model: ModelProto) -> int:
    """Returns the multiply-adds of the graph with every dynamic dimension at 1."""
    from onnx import shape_inference

    for value in model.graph.input:
        for dimension in value.type.tensor_type.shape.dim:
            if not dimension.HasField("dim_value"):
                dimension.dim_value = 1
    # The file's own shapes have an unknown batch size, so they are inferred again.
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    } | {constant.name: list(constant.dims) for constant in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type not in ("Conv", "MatMul", "Gemm"):
            continue
        result, right = shapes.get(node.output[0], []), shapes.get(node.input[1], [])
        if node.op_type == "Conv":
            # Each output value sums over the kernel and the input channels of its group.
            total += math.prod(result) * math.prod(right[1:])
        elif node.op_type == "Gemm":
            transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
            total += math.prod(result) * right[1 if transposed else 0]
        else:
            total += math.prod(result) * right[-2 if len(right) > 1 else 0]
    return total
