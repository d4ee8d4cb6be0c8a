"""Interprets a layer graph with torch, to train it and to predict with it.

Tensors of images are NCHW in the channels_last memory format, which is the row-major NHWC of the graph.
Importing this module needs the search extra.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from crest.models.extras import require_search_extra
from crest.models.layers import (
    Activation,
    Add,
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalPool,
    Input,
    LayerGraph,
    MaxPool2D,
    Node,
    Padding,
    Reshape,
    Slice,
)
from crest.models.weights import STATISTICS, Weights, check_weights, role, weight_shapes

torch = require_search_extra("torch")
functional = require_search_extra("torch.nn.functional")

Tensor = Any

# Smallest share of a batch's statistics in the running ones; the first batches count equally instead, so that the
# arbitrary initial statistics are forgotten at once and short trainings validate with true ones.
_MOMENTUM: Final = 0.1

# Axes of the graph's images (height, width, channels) in torch's (batch, channels, height, width).
_TORCH_AXIS: Final = {0: 2, 1: 3, 2: 1}


@contextmanager
def deterministic_torch(threads: int) -> Iterator[None]:
    """Fix the thread count and ask for deterministic algorithms; both are as before when the block ends."""
    guard = torch.utils.deterministic
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), guard.fill_uninitialized_memory)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    guard.fill_uninitialized_memory = False  # a quarter of the time, to hide reads that this interpreter never makes
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        guard.fill_uninitialized_memory = before[2]


class TorchNet:
    """The weights of a graph as torch tensors, and a forward pass over them.

    Args:
        graph: what to interpret.
        weights: numpy values in the layouts of ``crest.models.weights``.
        dtype: torch data type of the computation, float32 by default.

    Raises:
        ModelError: the weights are not those of the graph.
    """

    def __init__(self, graph: LayerGraph, weights: Mapping[str, NDArray[np.floating[Any]]], dtype: Any = None) -> None:
        check_weights(graph, weights)
        self.graph = graph
        self._tensors: dict[str, Tensor] = {}
        self._dtype = dtype or torch.float32
        self._batches_seen = 0
        self._depthwise = frozenset(node.name for node in graph.nodes if isinstance(node.layer, DepthwiseConv2D))
        for name in weight_shapes(graph):
            tensor = torch.tensor(weights[name], dtype=self._dtype)
            if role(name) == "kernel":
                tensor = self._to_torch_layout(name, tensor)
            self._tensors[name] = tensor.requires_grad_(role(name) not in STATISTICS)

    @property
    def parameters(self) -> list[Tensor]:
        """What the optimizer adjusts."""
        return [tensor for tensor in self._tensors.values() if tensor.requires_grad]

    def weights(self) -> Weights:
        """The present values, as float32 copies in the layouts of ``crest.models.weights``."""
        result: Weights = {}
        for name, shape in weight_shapes(self.graph).items():
            tensor = self._tensors[name].detach()
            if role(name) == "kernel":
                tensor = self._from_torch_layout(name, tensor)
            result[name] = (
                np.ascontiguousarray(tensor.to(torch.float32).numpy(), dtype=np.float32).reshape(shape).copy()
            )
        return result

    def forward(self, x: Tensor, *, dropout_generator: Any = None) -> tuple[Tensor, ...]:
        """The outputs, in the order of the graph, each (n, *shape) with channels last.

        Args:
            x: (n, *input_shape), channels last as the graph has it.
            dropout_generator: a torch.Generator to draw dropout from, which also makes batch normalisation use and
                update the statistics of the batch; None to predict.
        """
        self._batches_seen += dropout_generator is not None
        values: dict[str, Tensor] = {}
        pending = dict(self.graph.consumers)
        for node in self.graph.nodes:
            arguments = [values[name] for name in node.inputs]
            values[node.name] = (
                _to_channels_first(x.to(self._dtype))
                if isinstance(node.layer, Input)
                else self._layer(node, arguments, dropout_generator)
            )
            for name in node.inputs:
                pending[name] -= 1
                if not pending[name]:
                    del values[name]
        return tuple(_to_channels_last(values[name]) for name in self.graph.outputs)

    def _layer(self, node: Node, arguments: list[Tensor], generator: Any) -> Tensor:
        layer, x = node.layer, arguments[0]
        if isinstance(layer, Conv2D | DepthwiseConv2D):
            return self._convolution(node, layer, x)
        if isinstance(layer, Dense):
            return functional.linear(x, self._tensors[f"{node.name}.kernel"], self._tensors.get(f"{node.name}.bias"))
        if isinstance(layer, BatchNorm):
            return self._batch_norm(node.name, layer, x, training=generator is not None)
        if isinstance(layer, Dropout):
            return x if generator is None else _dropout(x, layer, generator)
        if isinstance(layer, Add):
            return x + arguments[1]
        return _stateless(layer, x)

    def _convolution(self, node: Node, layer: Conv2D | DepthwiseConv2D, x: Tensor) -> Tensor:
        x, padding = _pad(x, layer.padding)
        groups = x.shape[1] if isinstance(layer, DepthwiseConv2D) else 1
        kernel, bias = self._tensors[f"{node.name}.kernel"], self._tensors.get(f"{node.name}.bias")
        return functional.conv2d(x, kernel, bias, stride=layer.strides, padding=padding, groups=groups)

    def _batch_norm(self, name: str, layer: BatchNorm, x: Tensor, *, training: bool) -> Tensor:
        mean, variance, gamma, beta = (
            self._tensors[f"{name}.{part}"] for part in ("mean", "variance", "gamma", "beta")
        )
        momentum = max(_MOMENTUM, 1.0 / self._batches_seen) if training else 0.0
        return functional.batch_norm(
            x, mean, variance, gamma, beta, training=training, momentum=momentum, eps=layer.epsilon
        )

    def _to_torch_layout(self, name: str, kernel: Tensor) -> Tensor:
        if kernel.ndim == 2:
            return kernel.T.contiguous()
        if name.rpartition(".")[0] in self._depthwise:
            height, width, channels, multiplier = kernel.shape
            return kernel.permute(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width).contiguous()
        return kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)

    def _from_torch_layout(self, name: str, kernel: Tensor) -> Tensor:
        if kernel.ndim == 2:
            return kernel.T
        if name.rpartition(".")[0] in self._depthwise:
            height, width, channels, multiplier = weight_shapes(self.graph)[name]
            return kernel.reshape(channels, multiplier, height, width).permute(2, 3, 0, 1)
        return kernel.permute(2, 3, 1, 0)


def _to_channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def _to_channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def _pad(x: Tensor, padding: Padding) -> tuple[Tensor, tuple[int, int]]:
    """Zeros that a convolution cannot add by itself, and the symmetric ones that it can."""
    top, bottom, left, right = padding
    if top == bottom and left == right:
        return x, (top, left)
    return functional.pad(x, (left, right, top, bottom)), (0, 0)


def _dropout(x: Tensor, layer: Dropout, generator: Any) -> Tensor:
    shape = (*x.shape[:2], 1, 1) if layer.spatial and x.ndim == 4 else x.shape
    keep = 1.0 - layer.rate
    return x * torch.empty(shape, dtype=x.dtype).bernoulli_(keep, generator=generator).div_(keep)


def _stateless(layer: Any, x: Tensor) -> Tensor:
    if isinstance(layer, Activation):
        return functional.relu(x) if layer.function == "relu" else functional.relu6(x)
    if isinstance(layer, Slice):
        index = [slice(None)] * 4
        index[_TORCH_AXIS[layer.axis]] = slice(layer.begin, layer.end, layer.stride)
        return x[tuple(index)]
    if isinstance(layer, MaxPool2D):
        return functional.max_pool2d(x, layer.pool, layer.strides)
    if isinstance(layer, AveragePool2D):
        return functional.avg_pool2d(x, layer.pool, layer.strides)
    if isinstance(layer, GlobalPool):
        return x.mean(dim=(2, 3)) if layer.function == "avg" else x.amax(dim=(2, 3))
    if isinstance(layer, Reshape):
        return _to_channels_first(_to_channels_last(x).reshape(len(x), *layer.shape))
    raise NotImplementedError(f"torch interpreter: layer kind {layer.kind}")


def concatenated(outputs: tuple[Tensor, ...]) -> Tensor:
    """All outputs side by side, (n, sum of their sizes)."""
    return torch.cat([output.reshape(len(output), -1) for output in outputs], dim=1)


def predict(
    graph: LayerGraph,
    weights: Mapping[str, NDArray[np.floating[Any]]],
    x: NDArray[np.floating[Any]],
    *,
    batch_size: int = 1024,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Float predictions of a trained network.

    Args:
        graph: the network.
        weights: its weights.
        x: windows [n, *input_shape].
        batch_size: windows at a time; bounds the memory.
        threads: torch threads.

    Returns:
        float32 [n, sum of head units] in the order of the heads: physical units for regression, logits for classes.

    Raises:
        ModelError: weights or windows that do not fit the graph.
    """
    windows = torch.from_numpy(graph.batched(x))
    net = TorchNet(graph, weights)
    with deterministic_torch(threads), torch.inference_mode():
        batches = [concatenated(net.forward(part)) for part in windows.split(batch_size)] if len(windows) else []
    width = sum(int(np.prod(shape)) for shape in graph.output_shapes)
    return torch.cat(batches).numpy() if batches else np.zeros((0, width), dtype=np.float32)
