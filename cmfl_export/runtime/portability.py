"""Checks whether every CPU computes the same from the 8-bit weights of a file.

x86 without VNNI adds the products of two neighbouring weights in 16 bits, which saturate
(onnxruntime#14642). Activations are 0 to 255, so a pair is safe if its weights have opposite signs or if
their magnitudes add up to at most 128.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .onnx_reader import ModelFile

MOST_OF_A_PAIR = 128  # 255 * 128 is below 2 ** 15, 255 * 129 is not
NOT_PORTABLE = "not portable: CPUs without VNNI compute it exactly but slower; export it again"


def layouts(weight: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The weights of each output channel, [O, K], in the two orders in which kernels multiply them.

    Args:
        weight: [O, I, H, W], or any other shape with the output channels first.

    Returns:
        The weights with the input channels first, and with the input channels last.
    """
    return weight.reshape(len(weight), -1), np.moveaxis(weight, 1, -1).reshape(len(weight), -1)


def saturating_pairs(weight: NDArray[np.int8]) -> int:
    """The number of neighbouring pairs that can overflow 16 bits, in any layout and at any offset."""
    pairs = 0
    for flat in layouts(weight):
        wide = flat.astype(np.int16)
        # With opposite signs, the sum is no larger than the larger of the two.
        pairs += int((np.abs(wide[:, :-1] + wide[:, 1:]) > MOST_OF_A_PAIR).sum())
    return pairs


def is_portable(file: ModelFile) -> bool:
    """Whether no convolution or matrix product of a file has 8-bit weights that can saturate."""
    produced_by = {output: node for node in file.nodes for output in node.outputs}
    for node in file.nodes:
        if node.op_type not in ("Conv", "MatMul", "Gemm"):
            continue
        source = produced_by.get(node.inputs[1])
        if (
            source is None
            or source.op_type != "DequantizeLinear"
            or source.inputs[0] not in file.initializers
        ):
            continue
        weight = file.initializers[source.inputs[0]].array()
        if weight.dtype != np.int8 or weight.ndim < 2:
            continue
        by_output = weight if node.op_type == "Conv" or node.attributes.get("transB") else weight.T
        if saturating_pairs(by_output):
            return False
    return True
