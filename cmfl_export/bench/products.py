"""Measures the machine's limit: only matrix products, by every means that a contender computes with."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.cpu import usable_cores
from ..runtime import create_session, load_openvino
from .engine import Unit

if TYPE_CHECKING:
    from onnx import ModelProto

_CHAINED = 4  # products per run; on a GPU sixteen times as many


class Products:
    """Products of `size` x `size` matrices as a contender.

    Args:
        means: "numpy", "torch cpu", "torch cuda", or a backend: "onnxruntime", "cuda" or "openvino".
        precision: fp32, tf32, bf16, fp16 or int8; not every means has each.
        size: CPUs gain nothing beyond 2048, GPUs nothing beyond 4096.
        threads: CPU threads; None takes all cores.
    """

    def __init__(self, means: str, precision: str, size: int, threads: int | None, **_: object) -> None:
        threads = threads or usable_cores()
        self._chained = _CHAINED * (16 if "cuda" in means else 1)
        self._operations = 2.0 * size**3 * self._chained
        if means == "numpy":
            self._run = _numpy(size, self._chained)
        elif means.startswith("torch"):
            from .torch_contenders import products

            self._run = products(means.removeprefix("torch "), precision, size, self._chained, threads)
        else:
            self._run = _graph(means, precision, size, self._chained, threads)

    def about(self) -> dict[str, Any]:
        return {}

    def unit(self, measure: str, seconds: float) -> Unit:
        def run() -> float:
            self._run()
            return self._operations

        return run


def chain(size: int, chained: int, precision: str) -> ModelProto:
    """Returns a graph of `chained` products with one matrix: x float32 [1] -> float32 [1, 1].

    In int8 each product lies between QuantizeLinear and DequantizeLinear, as in a quantised model.
    """
    from onnx import TensorProto, helper, numpy_helper

    matrix = np.random.default_rng(0).normal(0, size**-0.5, (size, size)).astype(np.float32)
    kind = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.FLOAT
    whole = numpy_helper.from_array(matrix.astype(np.float16) if precision == "fp16" else matrix, "matrix")
    constants = [whole]
    nodes = [
        helper.make_node("Cast", ["x"], ["factor"], to=kind),
        helper.make_node("Mul", ["matrix", "factor"], ["product0"]),
    ]
    right = "matrix"
    if precision == "int8":
        scale = float(np.abs(matrix).max() / 127)
        constants += [
            helper.make_tensor("scale", TensorProto.FLOAT, [], [scale]),
            helper.make_tensor("zero", TensorProto.INT8, [], [0]),
            helper.make_tensor("middle", TensorProto.UINT8, [], [128]),
            numpy_helper.from_array(np.rint(matrix / scale).astype(np.int8), "quantised"),
        ]
        nodes.append(helper.make_node("DequantizeLinear", ["quantised", "scale", "zero"], ["right"]))
        right = "right"
    for i in range(chained):
        left = f"product{i}"
        if precision == "int8":
            nodes += [
                helper.make_node("QuantizeLinear", [left, "scale", "middle"], [f"integers{i}"]),
                helper.make_node("DequantizeLinear", [f"integers{i}", "scale", "middle"], [f"left{i}"]),
            ]
            left = f"left{i}"
        nodes.append(helper.make_node("MatMul", [left, right], [f"product{i + 1}"]))
    nodes += [
        helper.make_node("ReduceMean", [f"product{chained}"], ["mean"], keepdims=1),
        helper.make_node("Cast", ["mean"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def _numpy(size: int, chained: int) -> Any:
    matrix = np.random.default_rng(0).normal(0, size**-0.5, (size, size)).astype(np.float32)

    def run() -> None:
        product = matrix
        for _ in range(chained):
            product = product @ matrix

    return run


def _graph(means: str, precision: str, size: int, chained: int, threads: int) -> Any:
    from onnx import save

    feed = {"x": np.ones(1, np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "products.onnx")
        save(chain(size, chained, precision), path)
        if means == "openvino":
            openvino = load_openvino()

            hint = "bf16" if precision == "bf16" else "f32"
            settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": hint}
            compiled = openvino.Core().compile_model(path, "CPU", settings)
            return lambda: compiled(feed)
        session = create_session(path, "cpu" if means == "onnxruntime" else means, threads, optimise=True)
    return lambda: session.run(None, feed)
