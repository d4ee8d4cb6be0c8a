"""Windows that slide over height and width: what convolutions and pools share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tflite

from crest.compiler.graph import Tensor
from crest.compiler.operators.checks import check_shape, need


def _same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and behind an axis under TensorFlow's SAME rule."""
    effective = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + effective - size, 0)
    return total // 2, total - total // 2


def window_attributes(
    options: Any, source: Tensor, kernel: tuple[int, int], dilation: tuple[int, int], where: str
) -> dict[str, Any]:
    """Strides, dilation and padding of a window over a tensor [batch, height, width, channels]."""
    need(len(source.shape) == 4, where, "needs 4-dimensional tensors")
    strides = (options.StrideH(), options.StrideW())
    need(min(*strides, *kernel, *dilation) > 0, where, "stride, kernel and dilation must be positive")
    if options.Padding() == tflite.Padding.SAME:
        rows = _same_padding(source.shape[1], kernel[0], strides[0], dilation[0])
        columns = _same_padding(source.shape[2], kernel[1], strides[1], dilation[1])
        padding = (*rows, *columns)
    else:
        padding = (0, 0, 0, 0)
    return {"strides": strides, "dilation": dilation, "padding": padding}


def check_window_output(
    attributes: Mapping[str, Any], source: Tensor, out: Tensor, kernel: tuple[int, int], where: str
) -> None:
    """The output must have one position for each position of the window, and the batch of the input."""
    top, bottom, left, right = attributes["padding"]
    sizes = []
    for axis, before, behind in ((0, top, bottom), (1, left, right)):
        effective = (kernel[axis] - 1) * attributes["dilation"][axis] + 1
        sizes.append((source.shape[1 + axis] + before + behind - effective) // attributes["strides"][axis] + 1)
    check_shape(out, (source.shape[0], *sizes, *out.shape[3:]), where)
