"""Converts the trunks of an exported network to 8-bit integers (ONNX QuantizeLinear, DequantizeLinear).

A dense block is hard to quantise: each layer normalises the concatenation of all earlier maps with its own
parameters. These rewritings are exact in real arithmetic and leave only integer kernels in the trunks:

- A normalisation that no convolution absorbs becomes a depthwise 1x1 convolution. Its single weight per
  channel is exact in 8 bits, and its rounding includes the ReLU.
- Each channel of a concatenated map is scaled to [0, 1]: the convolution that makes it takes the factor and
  the shift, the normalisations that read it take the inverse. So every channel has 256 levels of its own, and
  all maps of all blocks have one scale: a concatenation only copies.
- The spread of a ReLU's channels is shared between its values and the weights behind it.
- Weights are rounded together, so that one makes up for another, and within bounds that make all CPUs compute
  the same scores (see `rounding` and `portability`).
- An average pooling becomes a depthwise convolution that keeps the scale of its input. (ONNX Runtime's own
  pooling kernel takes five times as long.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ModelError
from ..runtime import MOST_OF_A_PAIR
from . import tensor_statistics
from .graph import Graph, attribute, normalisations
from .rounding import MOST, round_weights
from .tensor_statistics import Moments, Range

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

LEVELS = 255
# The part of the calibration range that is kept: values at its end are rare, and without them the others are
# rounded more finely.
KEPT = 0.9
MOMENT_IMAGES = 64  # images that decide how the weights are rounded
# A channel that hardly moves on the calibration images may move more on others, so none is stretched by more
# than this factor relative to the widest channel of its map.
MOST_STRETCH = 256.0

POOL = ".pool"  # suffix of the name of a convolution that pools


def quantise(model: ModelProto, images: NDArray[np.uint8]) -> ModelProto:
    """Returns the model with 8-bit trunks; the spectrum and the heads stay float32.

    Args:
        model: an exported float32 model.
        images: calibration images, uint8 [n, 224, 224, 3].

    Returns:
        A new model with the same inputs and outputs. Activations are uint8 with one scale per tensor; weights
        are int8, symmetric, with one scale per output channel, and portable (see `portability`); biases are
        int32.

    Raises:
        ModelError: the model has no convolutions.
    """
    graph = Graph(model)
    normalise_by_convolution(graph)
    pool_by_convolution(graph)
    trunk = graph.trunk()
    if not trunk:
        raise ModelError("the model has no convolutions, so int8 changes nothing in it; use the fp32 file")
    ranges = tensor_statistics.ranges(
        graph.model(),
        [name for node in trunk for name in (node.input[0], *node.output)],
        np.array_split(images, -(-len(images) // 8)),
    )
    unit_range = equalise(graph, trunk, ranges)
    balance(graph, trunk, ranges)
    few = images[:MOMENT_IMAGES]
    moments = tensor_statistics.moments(
        graph.model(), list(filter(_is_dense, trunk)), np.array_split(few, -(-len(few) // 4))
    )
    scales = dict.fromkeys(unit_range, (1.0 / LEVELS, 0))
    for node in trunk:
        for name in (node.input[0], *node.output):
            scales.setdefault(name, scale_of(ranges[name]))
        if node.name.endswith(POOL) and node.output[0] not in unit_range:
            scales[node.output[0]] = scales[node.input[0]]
    insert(graph, trunk, scales, moments)
    return graph.model()


def _is_dense(node: NodeProto) -> bool:
    """Whether each output channel of a convolution reads all input channels."""
    return node.op_type == "Conv" and attribute(node, "group", 1) == 1


def normalise_by_convolution(graph: Graph) -> None:
    """Replaces every batch normalisation of the graph by a depthwise 1x1 convolution."""
    from onnx import helper

    for output, (scale, offset) in normalisations(graph).items():
        node = graph.producers[output]
        graph.arrays[f"{output}.weight"] = scale.astype(np.float32).reshape(-1, 1, 1, 1)
        graph.arrays[f"{output}.bias"] = offset.astype(np.float32)
        graph.nodes[graph.nodes.index(node)] = helper.make_node(
            "Conv",
            [node.input[0], f"{output}.weight", f"{output}.bias"],
            [output],
            name=f"{output}.normalise",
            group=len(scale),
            kernel_shape=[1, 1],
        )


def pool_by_convolution(graph: Graph) -> None:
    """Replaces every average pooling of the trunks by a depthwise convolution."""
    from onnx import helper

    for node in [node for node in graph.trunk() if node.op_type == "AveragePool"]:
        output = node.output[0]
        channels = len(graph.arrays[graph.convolution_before(node.input[0]).input[1]])
        height, width = attribute(node, "kernel_shape", None)
        weight = np.full((channels, 1, height, width), 1.0 / (height * width), np.float32)
        graph.arrays[f"{output}.weight"] = weight
        graph.nodes[graph.nodes.index(node)] = helper.make_node(
            "Conv",
            [node.input[0], f"{output}.weight"],
            [output],
            name=f"{output}{POOL}",
            group=channels,
            kernel_shape=[height, width],
            strides=attribute(node, "strides", None),
        )


def equalise(graph: Graph, trunk: list[NodeProto], ranges: dict[str, Range]) -> set[str]:
    """Scales each channel of every concatenated map to [0, 1]; returns the names of the scaled tensors."""
    producers = graph.producers
    concats = [node for node in trunk if node.op_type == "Concat"]
    unit_range = {node.output[0] for node in concats}
    # The lowest value and the span of each tensor's channels before scaling.
    old: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for name in {name for node in concats for name in node.input if name not in unit_range}:
        low, high = ranges[name]
        source = graph.convolution_before(name).output[0]
        if source != name:
            # A factor passes through a ReLU, a shift does not.
            low = np.zeros_like(low)
        span = _at_least(high - low)
        old[name] = (low, span)
        _rescale_output(graph, producers[source], low, span)
        unit_range.add(name)
        between = name
        while producers[between].op_type != "Conv":
            unit_range.add(between)
            between = producers[between].input[0]
    for node in concats:
        parts = [old[name] for name in node.input]
        old[node.output[0]] = (np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
    for node in trunk:
        if node.op_type == "Conv" and node.input[0] in old:
            _rescale_input(graph, node, *old[node.input[0]])
    return unit_range


def balance(graph: Graph, trunk: list[NodeProto], ranges: dict[str, Range]) -> None:
    """Shares the spread of a ReLU's channels between its values and the weights behind it.

    All channels of a tensor have one scale, so a wide channel would leave few levels to the others. A factor
    per channel passes through a ReLU, and the convolution behind it takes the inverse. The factor is that of
    SmoothQuant (Xiao et al., ICML 2023): sqrt(largest value / largest weight).
    """
    producers = graph.producers
    for node in trunk:
        if not _is_dense(node):
            continue
        between = [node.input[0]]
        while between[-1] in producers and producers[between[-1]].name.endswith(POOL):
            between.append(producers[between[-1]].input[0])
        source = producers.get(between[-1])
        if source is None or source.op_type != "Relu" or between[-1] not in ranges:
            continue
        largest = ranges[between[-1]].high
        weight = np.abs(_parameters(graph, node)[0]).max((0, 2, 3))
        factor = np.sqrt(_at_least(largest) / _at_least(weight))
        none = np.zeros_like(factor)
        _rescale_output(graph, producers[source.input[0]], none, factor)
        _rescale_input(graph, node, none, factor)
        for name in between:
            ranges[name] = Range(ranges[name].low / factor, ranges[name].high / factor)


def _at_least(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raises small values to the largest divided by MOST_STRETCH."""
    return np.maximum(values, max(float(values.max()), 1e-12) / MOST_STRETCH)


def _rescale_output(
    graph: Graph, node: NodeProto, low: NDArray[np.float64], span: NDArray[np.float64]
) -> None:
    """Makes the convolution give (y - low) / span."""
    weight, bias = _parameters(graph, node)
    _set_parameters(graph, node, weight / span[:, None, None, None], (bias - low) / span)


def _rescale_input(
    graph: Graph, node: NodeProto, low: NDArray[np.float64], span: NDArray[np.float64]
) -> None:
    """Makes the convolution take (x - low) / span in place of x; where `low` is not 0 it must be 1x1."""
    weight, bias = _parameters(graph, node)
    if attribute(node, "group", 1) == 1:
        factor, shift = span[None, :, None, None], (weight * low[None, :, None, None]).sum((1, 2, 3))
    else:
        factor, shift = span[:, None, None, None], weight[:, 0, 0, 0] * low
    _set_parameters(graph, node, weight * factor, bias + shift)


def _parameters(graph: Graph, node: NodeProto) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    weight = graph.arrays[node.input[1]].astype(np.float64)
    bias = graph.arrays[node.input[2]].astype(np.float64) if len(node.input) > 2 else np.zeros(len(weight))
    return weight, bias


def _set_parameters(
    graph: Graph, node: NodeProto, weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> None:
    # New names, because the exporter may share equal arrays between nodes.
    names = [f"{node.output[0]}.weight", f"{node.output[0]}.bias"]
    for name, array in zip(names, (weight, bias), strict=True):
        graph.arrays[name] = array.astype(np.float32)
    node.input[1:] = names


def scale_of(values: Range) -> tuple[float, int]:
    """Returns scale and zero point (uint8) for a tensor; the value 0 is exact, as padding needs."""
    low, high = float(values.low.min()), float(values.high.max())
    if low >= 0:
        return max(KEPT * high / LEVELS, 1e-12), 0
    # With another zero point than the middle OpenVINO has no integer kernel for a convolution that pads.
    return max(-low, high) / 127, 128


def insert(
    graph: Graph, trunk: list[NodeProto], scales: dict[str, tuple[float, int]], moments: dict[str, Moments]
) -> None:
    """Inserts QuantizeLinear and DequantizeLinear around every tensor and weight of the trunk."""
    # Nothing is rounded between a convolution and its ReLU: the kernels compute both at once.
    rectified = {node.input[0] for node in trunk if node.op_type == "Relu"}
    rounded = {name for node in trunk for name in (node.input[0], *node.output)} - rectified
    nodes: list[NodeProto] = []
    for node in graph.nodes:
        if node.op_type == "Conv":
            moment = moments.get(node.output[0])
            nodes += _quantised_parameters(graph, node, scales[node.input[0]][0], moment)
        node.input[:] = [_dequantised(name) if name in rounded else name for name in node.input]
        nodes.append(node)
        nodes += [pair for name in node.output if name in rounded for pair in _pair(graph, name, scales)]
    graph.nodes[:] = nodes


def _dequantised(name: str) -> str:
    return f"{name}.dequantised"


def _pair(graph: Graph, name: str, scales: dict[str, tuple[float, int]]) -> Iterator[NodeProto]:
    """Yields the two nodes that round a tensor and return it as float."""
    from onnx import helper

    scale, zero = scales[name]
    names = [f"{name}.scale", f"{name}.zero"]
    graph.arrays[names[0]] = np.array(scale, np.float32)
    graph.arrays[names[1]] = np.array(zero, np.uint8)
    quantised = f"{name}.quantised"
    yield helper.make_node("QuantizeLinear", [name, *names], [quantised], name=quantised)
    yield helper.make_node(
        "DequantizeLinear", [quantised, *names], [_dequantised(name)], name=_dequantised(name)
    )


def _quantised_parameters(
    graph: Graph, node: NodeProto, input_scale: float, moments: Moments | None
) -> Iterator[NodeProto]:
    """Replaces weight and bias of a convolution by integers; yields their DequantizeLinear nodes."""
    from onnx import helper

    weight, bias = _parameters(graph, node)
    if moments is not None:
        rounded, scale = round_weights(weight, moments.covariance)
        # The bias makes up for what rounding takes away on average.
        lost = weight - rounded * scale[:, None, None, None]
        bias = bias + lost.reshape(len(weight), -1) @ moments.mean
    else:
        # A normalisation has one weight per channel; a pooling has several, which are equal.
        most = MOST if weight[0].size == 1 else MOST_OF_A_PAIR // 2
        scale = np.maximum(np.abs(weight).max((1, 2, 3)), 1e-12) / most
        rounded = np.rint(weight / scale[:, None, None, None]).astype(np.int8)
    limit = np.iinfo(np.int32).max
    integers: dict[str, tuple[NDArray[Any], NDArray[np.float64]]] = {
        "weight": (rounded, scale),
        "bias": (
            np.rint(bias / (scale * input_scale)).clip(-limit, limit).astype(np.int32),
            scale * input_scale,
        ),
    }
    for index, (kind, (values, steps)) in enumerate(integers.items(), 1):
        name = f"{node.output[0]}.{kind}"
        graph.arrays[f"{name}.integers"] = values
        graph.arrays[f"{name}.scale"] = steps.astype(np.float32)
        graph.arrays[f"{name}.zero"] = np.zeros(len(steps), values.dtype)
        yield helper.make_node(
            "DequantizeLinear",
            [f"{name}.integers", f"{name}.scale", f"{name}.zero"],
            [_dequantised(name)],
            name=_dequantised(name),
            axis=0,
        )
        if len(node.input) > index:
            node.input[index] = _dequantised(name)
        else:
            node.input.append(_dequantised(name))
