"""Converts the trunks of an exported network to float16.

The spectrum, the pooling to embeddings and the heads stay float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .graph import Graph, normalisations

if TYPE_CHECKING:
    from onnx import ModelProto


def halve(model: ModelProto) -> ModelProto:
    """Returns the model with float16 trunks: the same inputs and outputs, half the size.

    Args:
        model: an exported float32 model.
    """
    from onnx import TensorProto, helper

    graph = Graph(model)
    trunk = graph.trunk()
    _plain_normalisations(graph)
    inside = {id(node) for node in trunk}
    made = {name for node in trunk for name in node.output}
    halves = {name: f"{name}.half" for node in trunk for name in (node.input[0], *node.output)}
    # Nodes behind a trunk, and the model's outputs, need its maps in float32 too.
    wanted = {name for node in graph.nodes if id(node) not in inside for name in node.input}
    wanted |= {output.name for output in model.graph.output}
    nodes = []
    entered: set[str] = set()
    for node in graph.nodes:
        if id(node) not in inside:
            nodes.append(node)
            continue
        for name in node.input:
            if name in halves and name not in made and name not in entered:
                entered.add(name)
                cast = helper.make_node(
                    "Cast", [name], [halves[name]], name=halves[name], to=TensorProto.FLOAT16
                )
                nodes.append(cast)
            elif name in graph.arrays:
                graph.arrays[f"{name}.half"] = graph.arrays[name].astype(np.float16)
        node.input[:] = [f"{name}.half" for name in node.input]
        names = list(node.output)
        node.output[:] = [halves[name] for name in names]
        nodes.append(node)
        nodes += [
            helper.make_node("Cast", [halves[name]], [name], name=f"{name}.float", to=TensorProto.FLOAT)
            for name in names
            if name in wanted
        ]
    graph.nodes[:] = nodes
    return graph.model()


def _plain_normalisations(graph: Graph) -> None:
    """Gives every batch normalisation mean 0 and variance 1: float16 has no digits for a variance of 1e-6."""
    from onnx import helper

    for output, (scale, offset) in normalisations(graph).items():
        node = graph.producers[output]
        values = (scale, offset, np.zeros_like(scale), np.ones_like(scale))
        names = [f"{output}.{kind}" for kind in ("scale", "offset", "mean", "variance")]
        graph.arrays |= dict(zip(names, (value.astype(np.float32) for value in values), strict=True))
        node.input[1:] = names
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("epsilon", 0.0))
