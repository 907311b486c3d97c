"""Which operators ONNX Runtime has kernels for, as far as the exported graph is concerned.

A kernel is registered for a range of operator versions: it takes a node of opset 20 when the version of the
operator that is in force there lies in the range. What stands here is from three lists:

cuda    https://github.com/microsoft/onnxruntime/blob/main/docs/OperatorKernels.md, section "Operators
        implemented by CUDAExecutionProvider", at commit 001d12d2623fd411ce0f83d05abb5e82304a3389, read on
        2026-11-24. (It has no DFT.)
cpu     The registry of onnxruntime-gpu 1.31.1, from which the section "CPUExecutionProvider" of that page is
        generated. onnxruntime-web's WebAssembly build contains these kernels.
webgpu  docs/webgpu-operators.md in the npm package onnxruntime-web 1.30.0, read on 2026-11-24. What it lacks
        runs on the cpu kernels of the same WebAssembly module.
"""

from __future__ import annotations

from typing import NamedTuple


class Kernel(NamedTuple):
    cuda: str
    cpu: str
    webgpu: str  # "" where there is none
    types: (
        str  # element types that cuda and cpu take, of all inputs and outputs; of float, int64, uint8, bool
    )


KERNELS = {
    "Abs": Kernel("13+", "13+", "13+", "float int64 uint8"),
    "Add": Kernel("14+", "14+", "14+", "float int64 uint8"),
    "AveragePool": Kernel("19-21", "19-21", "19+", "float"),
    "BatchNormalization": Kernel("15+", "15+", "15+", "float"),
    "Cast": Kernel("19-20", "19-20", "19-20", "float int64 uint8 bool"),
    "Clip": Kernel("13+", "13+", "13+", "float int64 uint8"),
    "Concat": Kernel("13+", "13+", "13+", "float int64 uint8 bool"),
    "Conv": Kernel("11-21", "11-21", "11+", "float"),
    "Div": Kernel("14+", "14+", "14+", "float int64 uint8"),
    "Gather": Kernel("13+", "13+", "13+", "float int64 uint8 bool"),
    "Gemm": Kernel("13+", "13+", "13+", "float"),
    "GreaterOrEqual": Kernel("16+", "16+", "16+", "float int64 bool"),
    "Log": Kernel("13+", "13+", "13+", "float"),
    "MatMul": Kernel("13+", "13+", "13+", "float"),
    "MaxPool": Kernel("12+", "12-21", "12+", "float uint8 int64"),
    "Mul": Kernel("14+", "14+", "14+", "float int64 uint8"),
    "Neg": Kernel("13+", "13+", "13+", "float int64"),
    "ReduceMean": Kernel("18+", "18+", "18+", "float int64"),
    "ReduceSum": Kernel("13+", "13+", "13+", "float int64"),
    "Relu": Kernel("14+", "14+", "14+", "float"),
    # "No GPU kernel" says the page of this one; it concerns shapes, which the CPU knows.
    "Reshape": Kernel("19-20", "19-20", "19-20", "float int64 uint8 bool"),
    "Sigmoid": Kernel("13+", "13+", "13+", "float"),
    "Slice": Kernel("13+", "13+", "13+", "float int64 uint8 bool"),
    "Sqrt": Kernel("13+", "13+", "13+", "float"),
    "Sub": Kernel("14+", "14+", "14+", "float int64 uint8"),
    "TopK": Kernel("11+", "11-23", "", "float int64"),
    "Transpose": Kernel("13-20", "13-20", "13-20", "float int64 uint8 bool"),
    "Unsqueeze": Kernel("13-20", "13-20", "13-20", "float int64 uint8 bool"),
    "Where": Kernel("16+", "16+", "16+", "float int64 uint8 bool"),
}


def takes(versions: str, version: int) -> bool:
    """Whether an operator version lies in "14+" or "19-21"; in "" lies none."""
    if not versions:
        return False
    first, _, last = versions.rstrip("+").partition("-")
    return int(first) <= version and (versions.endswith("+") or version <= int(last))
