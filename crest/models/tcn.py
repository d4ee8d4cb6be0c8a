"""The temporal convolutional network of arXiv 2606.15004, in its exact reduced form.

Only the last time step reaches the output, so only what that step depends on is computed. The demand is propagated
from the end: where a block's output is needed at the positions T-1-j*D, its dilated convolutions are undilated
convolutions on the grid T-1-j*d, the second one with stride D/d. No value that survives is changed; taps of a kernel
that would only ever meet the zeros before the window are left out. A grid is computed without gaps: where a kernel is
narrower than the ratio D/d, some of its positions are not needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from crest.errors import ModelError
from crest.models.axes import Axis, CategoricalAxis, IntAxis, SubsetAxis
from crest.models.family import check_candidate
from crest.models.layers import (
    Activation,
    Add,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    GraphBuilder,
    Input,
    LayerGraph,
    MaxPool2D,
    Reshape,
    Slice,
)
from crest.workloads.base import Head

_TIME: Final = 1
_POOLED_CHANNELS: Final = 2
_HIDDEN_UNITS: Final = 32


@dataclass(frozen=True)
class BlockPlan:
    """One residual block on decimated grids, all of which end at the last time step.

    Attributes:
        dilation: distance in samples between two positions of the block's grid.
        taps: kernel width of both convolutions after dropping taps that only meet padding.
        inputs: positions of the block's input, on its grid.
        middle: positions between the two convolutions, on the same grid.
        outputs: positions of the block's output, on the grid of the block behind it.
        stride: step of the output grid in positions of this block's grid.
    """

    dilation: int
    taps: int
    inputs: int
    middle: int
    outputs: int
    stride: int

    @property
    def first_padding(self) -> int:
        """Zeros before the first convolution's input: positions before the window starts."""
        return self.middle - 1 + self.taps - self.inputs

    @property
    def second_padding(self) -> int:
        """Zeros before the second convolution's input."""
        return (self.outputs - 1) * self.stride + self.taps - self.middle

    @property
    def first_output(self) -> int:
        """Index, in the block's input, of the position of its first output."""
        return self.inputs - 1 - (self.outputs - 1) * self.stride


def plan_blocks(time_steps: int, kernel_size: int, dilations: Sequence[int]) -> tuple[BlockPlan, ...]:
    """Propagate the demand for the last time step back through the blocks; the plans come in forward order.

    Raises:
        ModelError: a dilation does not divide the next, so that their grids do not nest.
    """
    for here, behind in pairwise(dilations):
        if behind % here:
            raise ModelError(f"dilations {list(dilations)}: {here} does not divide {behind}")
    plans: list[BlockPlan] = []
    outputs, next_dilation = 1, dilations[-1]
    for dilation in reversed(dilations):
        available = (time_steps - 1) // dilation + 1
        taps = min(kernel_size, available)
        stride = next_dilation // dilation
        middle = min((outputs - 1) * stride + taps, available)
        inputs = min(middle - 1 + taps, available)
        plans.append(BlockPlan(dilation, taps, inputs, middle, outputs, stride))
        outputs, next_dilation = inputs, dilation
    return tuple(reversed(plans))


class TCN:
    """Residual blocks of two causal dilated convolutions, last time step, maximum of channel pairs, dense layers."""

    name = "tcn"

    def __init__(self) -> None:
        self.space: dict[str, Axis] = {
            "nb_filters": IntAxis(2, 63),
            "kernel_size": IntAxis(2, 15),
            "dropout": CategoricalAxis((0.0, 0.1, 0.2, 0.3, 0.4)),
            "use_skip_connections": CategoricalAxis((True, False)),
            "batch_norm": CategoricalAxis((True, False)),
            "dilations": SubsetAxis((1, 2, 4, 8, 16, 32, 64, 128, 256), 3, 8),
        }

    def build(self, candidate: Mapping[str, Any], input_shape: tuple[int, ...], heads: Sequence[Head]) -> LayerGraph:
        """The reduced graph of a candidate for windows of shape (time steps, channels).

        The graph's own input is (1, time steps, channels), which is the same bytes. With skip connections the last
        step is the sum of what the blocks' convolutions return (as in keras-tcn), without them the last block's output.

        Raises:
            ModelError: the candidate is not in the space, the windows are not (time steps, channels), or no head.
        """
        check_candidate(self.space, candidate)
        if len(input_shape) != 2 or min(input_shape) < 1:
            raise ModelError(f"a TCN expects windows of shape (time steps, channels), got {tuple(input_shape)}")
        if not heads:
            raise ModelError("a network needs at least one head")
        plans = plan_blocks(input_shape[0], candidate["kernel_size"], candidate["dilations"])
        builder = GraphBuilder()
        x = builder.add("window", Input(shape=(1, *input_shape)))
        x = _keep_grid(builder, x, plans[0])
        skips: list[str] = []
        use_skips = candidate["use_skip_connections"]
        for index, plan in enumerate(plans):
            prefix = f"block{index}"
            convolved = _convolutions(builder, prefix, x, plan, candidate)
            if use_skips:
                skips.append(_last_step(builder, f"{prefix}_skip", convolved))
            if not use_skips or plan is not plans[-1]:
                x = _residual(builder, prefix, x, convolved, plan)
        for index, skip in enumerate(skips):
            x = skip if index == 0 else builder.add(f"skip_sum{index}", Add(), x, skip)
        return builder.build(_heads(builder, x, heads))


def _keep_grid(builder: GraphBuilder, x: str, plan: BlockPlan) -> str:
    """Only the time steps of the first block's grid."""
    time_steps = builder.shape(x)[_TIME]
    if plan.inputs == time_steps:
        return x
    begin = time_steps - 1 - (plan.inputs - 1) * plan.dilation
    keep = Slice(axis=_TIME, begin=begin, stride=plan.dilation, length=plan.inputs)
    return builder.add("window_grid", keep, x)


def _convolutions(builder: GraphBuilder, prefix: str, x: str, plan: BlockPlan, candidate: Mapping[str, Any]) -> str:
    """Two convolutions, each with batch normalisation, ReLU and spatial dropout as the candidate wants them."""
    steps = (("a", 1, plan.first_padding), ("b", plan.stride, plan.second_padding))
    for letter, stride, padding in steps:
        layer = Conv2D(
            filters=candidate["nb_filters"],
            kernel=(1, plan.taps),
            strides=(1, stride),
            padding=(0, 0, padding, 0),
            use_bias=not candidate["batch_norm"],
        )
        x = builder.add(f"{prefix}_conv_{letter}", layer, x)
        if candidate["batch_norm"]:
            x = builder.add(f"{prefix}_norm_{letter}", BatchNorm(), x)
        x = builder.add(f"{prefix}_relu_{letter}", Activation(), x)
        if candidate["dropout"]:
            x = builder.add(f"{prefix}_dropout_{letter}", Dropout(rate=candidate["dropout"], spatial=True), x)
    return x


def _residual(builder: GraphBuilder, prefix: str, x: str, convolved: str, plan: BlockPlan) -> str:
    """ReLU of the convolved values plus the block's input, matched in time and, where they differ, in channels."""
    filters = builder.shape(convolved)[2]
    matches = builder.shape(x)[2] == filters
    stride = plan.stride
    # A 1x1 convolution strides by itself; a slice is needed where there is none, or where it must start later.
    if plan.first_output or (matches and plan.inputs != plan.outputs):
        keep = Slice(axis=_TIME, begin=plan.first_output, stride=plan.stride, length=plan.outputs)
        x = builder.add(f"{prefix}_shortcut", keep, x)
        stride = 1
    if not matches:
        x = builder.add(f"{prefix}_match", Conv2D(filters=filters, kernel=(1, 1), strides=(1, stride)), x)
    return builder.add(f"{prefix}_relu", Activation(), builder.add(f"{prefix}_add", Add(), x, convolved))


def _last_step(builder: GraphBuilder, name: str, x: str) -> str:
    steps = builder.shape(x)[_TIME]
    return x if steps == 1 else builder.add(name, Slice(axis=_TIME, begin=steps - 1, length=1), x)


def _heads(builder: GraphBuilder, x: str, heads: Sequence[Head]) -> tuple[str, ...]:
    """Largest of each pair of channels (a channel without a partner is dropped), a linear layer, one layer a head."""
    channels = builder.shape(x)[2]
    x = builder.add("channels", Reshape(shape=(1, channels, 1)), x)
    pair = (1, _POOLED_CHANNELS)
    x = builder.add("channel_pairs", MaxPool2D(pool=pair, strides=pair), x)
    x = builder.add("features", Reshape(shape=(channels // _POOLED_CHANNELS,)), x)
    x = builder.add("hidden", Dense(units=_HIDDEN_UNITS), x)
    names = ["head_" + re.sub(r"\W", "_", head.name, flags=re.ASCII) for head in heads]
    return tuple(builder.add(name, Dense(units=head.units), x) for name, head in zip(names, heads, strict=True))
