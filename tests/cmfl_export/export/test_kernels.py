"""Every operator of the exported graph has a kernel where it shall run: see kernels.py for the lists."""

from __future__ import annotations

import onnx
import pytest

from cmfl_export.export.run import OPSET
from tests.cmfl_export.kernels import KERNELS, takes


def test_versions(graph: onnx.ModelProto) -> None:
    used = {node.op_type for node in graph.graph.node}
    assert used <= set(KERNELS)
    for operator in used:
        version = onnx.defs.get_schema(operator, OPSET, "").since_version
        kernel = KERNELS[operator]
        assert takes(kernel.cuda, version), f"{operator} {version} has no CUDA kernel"
        assert takes(kernel.cpu, version), f"{operator} {version} has no CPU (WebAssembly) kernel"


def test_what_webgpu_leaves_to_webassembly(graph: onnx.ModelProto) -> None:
    lacking = {
        node.op_type
        for node in graph.graph.node
        if not takes(
            KERNELS[node.op_type].webgpu, onnx.defs.get_schema(node.op_type, OPSET, "").since_version
        )
    }
    assert lacking == {"TopK"}


def test_element_types(graph: onnx.ModelProto) -> None:
    inferred = onnx.shape_inference.infer_shapes(graph, strict_mode=True).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    kinds |= {value.name: value.type.tensor_type.elem_type for value in (*inferred.input, *inferred.output)}
    kinds |= {tensor.name: tensor.data_type for tensor in inferred.initializer}
    for node in graph.graph.node:
        names = [name for name in (*node.input, *node.output) if name]
        types = {onnx.TensorProto.DataType.Name(kinds[name]).lower() for name in names}
        assert types <= set(KERNELS[node.op_type].types.split()), (node.op_type, types)


@pytest.mark.parametrize(
    ("versions", "version", "answer"),
    [("14+", 14, True), ("14+", 13, False), ("19-21", 21, True), ("19-21", 22, False), ("", 1, False)],
)
def test_takes(versions: str, version: int, answer: bool) -> None:
    assert takes(versions, version) is answer
