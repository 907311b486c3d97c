"""Reads and rewrites an exported graph, for `int8` and `fp16`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

TRUNK_OPERATORS = ("Conv", "BatchNormalization", "Relu", "MaxPool", "AveragePool", "Concat")


class Graph:
    """A copy of a model that can be changed: its nodes in order, and its initializers by name (`arrays`).

    Change `nodes` and `arrays`, then call `model`.
    """

    def __init__(self, model: ModelProto) -> None:
        from onnx import ModelProto, numpy_helper

        self._model = ModelProto()
        self._model.CopyFrom(model)
        self.nodes: list[NodeProto] = list(self._model.graph.node)
        self.arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

    @property
    def producers(self) -> dict[str, NodeProto]:
        """The node that makes each tensor, by the tensor's name."""
        return {output: node for node in self.nodes for output in node.output}

    def convolution_before(self, tensor: str) -> NodeProto:
        """Returns the convolution that a tensor comes from, through ReLU and pooling."""
        producers = self.producers
        while producers[tensor].op_type != "Conv":
            tensor = producers[tensor].input[0]
        return producers[tensor]

    def trunk(self) -> list[NodeProto]:
        """Returns the nodes of the convolutional trunks, from their first convolution to their last map."""
        made: set[str] = set()
        nodes = []
        for node in self.nodes:
            inside = node.op_type in TRUNK_OPERATORS and node.input[0] in made
            if node.op_type == "Conv" or inside:
                nodes.append(node)
                made.update(node.output)
        return nodes

    def model(self) -> ModelProto:
        """Returns a model with these nodes and the arrays that they use."""
        from onnx import ModelProto, numpy_helper

        model = ModelProto()
        model.CopyFrom(self._model)
        used = {name for node in self.nodes for name in node.input}
        del model.graph.node[:]
        model.graph.node.extend(self.nodes)
        del model.graph.initializer[:]
        model.graph.initializer.extend(
            numpy_helper.from_array(array, name) for name, array in self.arrays.items() if name in used
        )
        # The types of inner tensors may have changed, and every runtime infers them itself.
        del model.graph.value_info[:]
        return model


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """Returns the value of a node's attribute, or the default where the node has none."""
    from onnx import helper

    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def normalisations(graph: Graph) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns each batch normalisation as (scale, offset), float64 [C] each, by the name of its output.

    The normalisation computes y = scale x + offset.
    """
    found = {}
    for node in graph.nodes:
        if node.op_type == "BatchNormalization":
            weight, bias, mean, variance = (graph.arrays[name].astype(np.float64) for name in node.input[1:5])
            scale = weight / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
            found[node.output[0]] = (scale, bias - mean * scale)
    return found
