"""Static proxies of cost: what can be counted on a layer graph without weights, compiler or board."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Final, Literal

from crest.models.layers import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Input,
    LayerGraph,
    Node,
    Reshape,
)
from crest.models.weights import parameter_count, weight_shapes

Quantization = Literal["int8", "int16x8", "float32"]
"""Number format of activations and weights; int16x8 has int16 activations and int8 weights."""

ACTIVATION_BYTES: Final[dict[Quantization, int]] = {"int8": 1, "int16x8": 2, "float32": 4}
_WEIGHT_BYTES: Final[dict[Quantization, int]] = {"int8": 1, "int16x8": 1, "float32": 4}


@dataclass(frozen=True)
class StaticProxies:
    """Counts for one inference.

    Attributes:
        parameters: values that training adjusts.
        macs: multiply-accumulates of the convolutions and dense layers, those over padding included.
        flops: 2 per multiply-accumulate.
        memory_traffic_bytes: input and output activations of every layer that ships plus its weights, each once;
            batch normalisation and activation belong to the layer they follow, reshapes and dropout are nothing.
        memory_traffic_unfused_bytes: the same with every node of the graph a layer of its own, batch normalisation
            with its four tensors; the published definition.
    """

    parameters: int
    macs: int
    flops: int
    memory_traffic_bytes: int
    memory_traffic_unfused_bytes: int

    def metrics(self) -> dict[str, float]:
        """The counts by name, as records keep them."""
        return {name: float(value) for name, value in asdict(self).items()}


def static_proxies(graph: LayerGraph, quantization: Quantization) -> StaticProxies:
    """Count a graph; every element of an activation or weight takes the bytes of the data type.

    Source: the definitions of arXiv 2606.15004 (MAC = 2 FLOPs; traffic = inputs + outputs + unique weights).
    """

    def traffic_bytes(activations: int, weights: int) -> int:
        return ACTIVATION_BYTES[quantization] * activations + _WEIGHT_BYTES[quantization] * weights

    macs = count_macs(graph)
    return StaticProxies(
        parameters=parameter_count(graph),
        macs=macs,
        flops=2 * macs,
        memory_traffic_bytes=traffic_bytes(*_fused_elements(graph)),
        memory_traffic_unfused_bytes=traffic_bytes(*_unfused_elements(graph)),
    )


def count_macs(graph: LayerGraph) -> int:
    """Multiply-accumulates of one inference."""
    return sum(_node_macs(graph, node) for node in graph.nodes)


def _node_macs(graph: LayerGraph, node: Node) -> int:
    outputs = math.prod(graph.shapes[node.name])
    if isinstance(node.layer, Conv2D):
        return outputs * math.prod(node.layer.kernel) * graph.shapes[node.inputs[0]][-1]
    if isinstance(node.layer, DepthwiseConv2D):
        return outputs * math.prod(node.layer.kernel)
    if isinstance(node.layer, Dense):
        return outputs * graph.shapes[node.inputs[0]][0]
    return 0


def _unfused_elements(graph: LayerGraph) -> tuple[int, int]:
    """Elements of activations and of weights that are moved."""
    activations = sum(
        math.prod(graph.shapes[name]) for node in graph.nodes if node.inputs for name in (*node.inputs, node.name)
    )
    return activations, sum(math.prod(shape) for shape in weight_shapes(graph).values())


def _fused_elements(graph: LayerGraph) -> tuple[int, int]:
    """Elements of activations and of weights that are moved when followers of a layer work in place on its output."""
    absorbed = _absorbed(graph)
    elements = 0
    for node in graph.nodes:
        if node.name not in absorbed and not isinstance(node.layer, Input):
            elements += sum(math.prod(graph.shapes[name]) for name in (*node.inputs, node.name))
    return elements, _folded_weights(graph, absorbed)


def _absorbed(graph: LayerGraph) -> set[str]:
    """Nodes that cost no pass over memory of their own: the output they work on is read by nobody else."""
    layers = {node.name: node.layer for node in graph.nodes}
    return {
        node.name
        for node in graph.nodes
        if isinstance(node.layer, Dropout | Reshape)
        or (
            isinstance(node.layer, BatchNorm | Activation)
            and graph.consumers[node.inputs[0]] == 1
            and not isinstance(layers[node.inputs[0]], Input)
        )
    }


def _folded_weights(graph: LayerGraph, absorbed: set[str]) -> int:
    """Weights as they ship: folding batch normalisation leaves one bias per channel behind."""
    elements = 0
    biased: set[str] = set()
    for node in graph.nodes:
        has_bias = isinstance(node.layer, Conv2D | DepthwiseConv2D | Dense) and node.layer.use_bias
        if has_bias or (node.name in absorbed and node.inputs[0] in biased):
            biased.add(node.name)
    for name, shape in weight_shapes(graph).items():
        owner, _, part = name.rpartition(".")
        if part == "variance" and owner not in absorbed:
            elements += 2 * shape[0]  # a scale and an offset per channel
        elif part == "variance" and owner not in biased:
            elements += shape[0]
        elif part in ("kernel", "bias"):
            elements += math.prod(shape)
    return elements
