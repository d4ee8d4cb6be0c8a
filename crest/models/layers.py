"""A small graph of standard layers, free of any framework: torch trains it, TensorFlow converts it, proxies count it.

Shapes leave the batch out: an image is ``(height, width, channels)``, a vector ``(channels,)``. A signal of T time
steps is an image of height 1, ``(1, T, channels)``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import override

from crest.errors import ModelError
from crest.frozen import Frozen
from crest.yaml_io import validate

Shape = tuple[int, ...]
Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[int, Field(ge=0)]
Pair = tuple[Positive, Positive]
Padding = tuple[NonNegative, NonNegative, NonNegative, NonNegative]

NO_PADDING: Padding = (0, 0, 0, 0)


def _image(shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ModelError(f"expects an input (height, width, channels), got shape {shape}")
    return shape[0], shape[1], shape[2]


def _windows(shape: Shape, kernel: Pair, strides: Pair, padding: Padding) -> tuple[int, int]:
    """Height and width left when a window slides over the zero-padded image."""
    height, width, _ = _image(shape)
    top, bottom, left, right = padding
    spare = (height + top + bottom - kernel[0], width + left + right - kernel[1])
    if min(spare) < 0:
        raise ModelError(f"a {kernel} window does not fit its input {shape} padded by {padding}")
    return spare[0] // strides[0] + 1, spare[1] // strides[1] + 1


def same_padding(shape: Shape, kernel: Pair, strides: Pair) -> Padding:
    """The (top, bottom, left, right) zeros of TensorFlow's "same" padding: ceil(size / stride) outputs."""
    height, width, _ = _image(shape)
    total = [
        max((math.ceil(size / stride) - 1) * stride + taps - size, 0)
        for size, stride, taps in zip((height, width), strides, kernel, strict=True)
    ]
    return total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2


class _Layer(Frozen):
    """What every layer can say: how many inputs it takes and the shape it returns for theirs."""

    @property
    def arity(self) -> int:
        """How many inputs the layer reads."""
        return 1

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Shape of the output; the layer's own default keeps that of the input.

        Raises:
            ModelError: the layer cannot take inputs of those shapes.
        """
        return inputs[0]


class Input(_Layer):
    """The window that the network sees."""

    kind: Literal["input"] = "input"
    shape: tuple[Positive, ...]

    @property
    @override
    def arity(self) -> int:
        return 0

    @override
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        if len(self.shape) not in (1, 3):
            raise ModelError(f"must be a vector or (height, width, channels), got shape {self.shape}")
        return self.shape


class Conv2D(_Layer):
    """Cross-correlation; padding is zeros at (top, bottom, left, right)."""

    kind: Literal["conv2d"] = "conv2d"
    filters: Positive
    kernel: Pair
    strides: Pair = (1, 1)
    padding: Padding = NO_PADDING
    use_bias: bool = True

    @override
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return (*_windows(inputs[0], self.kernel, self.strides, self.padding), self.filters)


class DepthwiseConv2D(_Layer):
    """One kernel per input channel and multiple: output channel ``c * depth_multiplier + m`` sees channel ``c``."""

    kind: Literal["depthwise_conv2d"] = "depthwise_conv2d"
    depth_multiplier: Positive = 1
    kernel: Pair
    strides: Pair = (1, 1)
    padding: Padding = NO_PADDING
    use_bias: bool = True

    @override
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        windows = _windows(inputs[0], self.kernel, self.strides, self.padding)
        return (*windows, inputs[0][2] * self.depth_multiplier)


class Dense(_Layer):
    """A fully connected layer over a vector."""

    kind: Literal["dense"] = "dense"
    units: Positive
    use_bias: bool = True

    @override
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        if len(inputs[0]) != 1:
            raise ModelError(f"expects a vector, got shape {inputs[0]}; reshape it first")
        return (self.units,)


class BatchNorm(_Layer):
    """Batch normalisation over the channels."""

    kind: Literal["batch_norm"] = "batch_norm"
    epsilon: float = Field(default=1e-3, gt=0)


class Activation(_Layer):
    """max(x, 0), capped at 6 for relu6."""

    kind: Literal["activation"] = "activation"
    function: Literal["relu", "relu6"] = "relu"


class Dropout(_Layer):
    """Zeroes values (whole channels when ``spatial``) while training; nothing afterwards."""

    kind: Literal["dropout"] = "dropout"
    rate: float = Field(gt=0, lt=1)
    spatial: bool = False


class Add(_Layer):
    """Sum of two tensors of one shape."""

    kind: Literal["add"] = "add"

    @property
    @override
    def arity(self) -> int:
        return 2

    @override
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        if inputs[0] != inputs[1]:
            raise ModelError(f"cannot add shapes {inputs[0]} and {inputs[1]}")
        return inputs[0]


class Slice(_Layer):
    """Elements ``begin, begin + stride, ...`` (``length`` of them) of one axis: 0 height, 1 width, 2 channels."""

    kind: Literal["slice"] = "slice"
    axis: Literal[0, 1, 2]
    begin: NonNegative
    stride: Positive = 1
    length: Positive

    @property
    def end(self) -> int:
        """First index behind the last element taken."""
        return self.begin + (self.length - 1) * self.stride + 1

    @override
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = list(_image(inputs[0]))
        if self.end > shape[self.axis]:
            raise ModelError(f"slice [{self.begin}:{self.end}] leaves axis {self.axis} of shape {inputs[0]}")
        shape[self.axis] = self.length
        return tuple(shape)


class _Pool(_Layer):
    pool: Pair
    strides: Pair

    @override
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return (*_windows(inputs[0], self.pool, self.strides, NO_PADDING), inputs[0][2])


class MaxPool2D(_Pool):
    """Largest value of each window that fits."""

    kind: Literal["max_pool2d"] = "max_pool2d"


class AveragePool2D(_Pool):
    """Mean of each window that fits."""

    kind: Literal["average_pool2d"] = "average_pool2d"


class GlobalPool(_Layer):
    """Mean or maximum of each channel over the whole image."""

    kind: Literal["global_pool"] = "global_pool"
    function: Literal["avg", "max"]

    @override
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return (_image(inputs[0])[2],)


class Reshape(_Layer):
    """The same elements, in row-major order (channels fastest), under another shape."""

    kind: Literal["reshape"] = "reshape"
    shape: tuple[Positive, ...]

    @override
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        if len(self.shape) not in (1, 3):
            raise ModelError(f"must become a vector or (height, width, channels), got shape {self.shape}")
        if math.prod(self.shape) != math.prod(inputs[0]):
            raise ModelError(f"cannot reshape {inputs[0]} to {self.shape}")
        return self.shape


Layer = (
    Input
    | Conv2D
    | DepthwiseConv2D
    | Dense
    | BatchNorm
    | Activation
    | Dropout
    | Add
    | Slice
    | MaxPool2D
    | AveragePool2D
    | GlobalPool
    | Reshape
)


class Node(Frozen):
    """A layer in its place: its name and the nodes it reads."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    layer: Annotated[Layer, Field(discriminator="kind")]
    inputs: tuple[str, ...] = ()


class LayerGraph(Frozen):
    """Nodes in an order of execution, and the outputs in the order of the workload's heads.

    A graph is checked as it is made: one input, unique names, shapes that fit, no node that no output needs.

    Raises:
        ModelError: naming the layer that does not fit.
    """

    nodes: tuple[Node, ...] = Field(min_length=1)
    outputs: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _checked(self) -> LayerGraph:
        _check_shapes(self.nodes, {})
        known = {node.name for node in self.nodes}
        missing = [name for name in self.outputs if name not in known]
        if missing:
            raise ModelError(f"output {missing[0]!r} is not a layer of the graph")
        if len(set(self.outputs)) != len(self.outputs):
            raise ModelError("the same layer is given as two outputs")
        if sum(isinstance(node.layer, Input) for node in self.nodes) != 1:
            raise ModelError("a graph has exactly one input layer")
        needed = set(self.outputs)
        for node in reversed(self.nodes):
            if node.name not in needed:
                raise ModelError(f"layer {node.name!r} reaches no output")
            needed.update(node.inputs)
        return self

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Output shape of every node, by name."""
        shapes: dict[str, Shape] = {}
        _check_shapes(self.nodes, shapes)
        return shapes

    @cached_property
    def consumers(self) -> Counter[str]:
        """How many layers and outputs read each node."""
        return Counter([name for node in self.nodes for name in node.inputs] + list(self.outputs))

    @property
    def input_shape(self) -> Shape:
        """Shape of the window, without batch."""
        return next(node.layer.shape for node in self.nodes if isinstance(node.layer, Input))

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        """Shapes of the outputs, in their order."""
        return tuple(self.shapes[name] for name in self.outputs)

    def batched(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Windows ``[n, ...]`` as float32 ``[n, *input_shape]``; shapes of the same size are reinterpreted."""
        if x.ndim < 1 or math.prod(x.shape[1:]) != math.prod(self.input_shape):
            raise ModelError(f"windows of shape {x.shape[1:]} do not fit the network's input {self.input_shape}")
        return np.ascontiguousarray(x, dtype=np.float32).reshape(len(x), *self.input_shape)

    def canonical_json(self) -> str:
        """One text for equal graphs: sorted keys, no spaces."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str, source: str = "layer graph") -> LayerGraph:
        """Read back what ``canonical_json`` wrote.

        Raises:
            ModelError: not JSON, or not a graph.
        """
        try:
            data = json.loads(text)
        except ValueError as exc:
            raise ModelError(f"{source}: not valid JSON: {exc}") from exc
        return validate(data, cls, source, ModelError)


def _node_shape(node: Node, shapes: dict[str, Shape]) -> Shape:
    for name in node.inputs:
        if name not in shapes:
            raise ModelError(f"layer {node.name!r} reads {name!r}, which is not defined before it")
    if node.name in shapes:
        raise ModelError(f"two layers are named {node.name!r}")
    if len(node.inputs) != node.layer.arity:
        raise ModelError(
            f"layer {node.name!r} ({node.layer.kind}) takes {node.layer.arity} input(s), got {len(node.inputs)}"
        )
    try:
        return node.layer.output_shape(tuple(shapes[name] for name in node.inputs))
    except ModelError as exc:
        raise ModelError(f"layer {node.name!r} ({node.layer.kind}): {exc.message}", hint=exc.hint) from exc


def _check_shapes(nodes: tuple[Node, ...], shapes: dict[str, Shape]) -> None:
    for node in nodes:
        shapes[node.name] = _node_shape(node, shapes)


class GraphBuilder:
    """Collects nodes one by one; every shape is known as soon as its layer is added."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._shapes: dict[str, Shape] = {}

    def add(self, name: str, layer: Layer, *inputs: str) -> str:
        """Append a layer that reads ``inputs``; returns its name."""
        node = Node(name=name, layer=layer, inputs=inputs)
        self._shapes[name] = _node_shape(node, self._shapes)
        self._nodes.append(node)
        return name

    def shape(self, name: str) -> Shape:
        """Output shape of a layer added before."""
        return self._shapes[name]

    def build(self, outputs: tuple[str, ...]) -> LayerGraph:
        """The finished graph."""
        return LayerGraph(nodes=tuple(self._nodes), outputs=outputs)
