"""Generated layers of int16 activations."""

from __future__ import annotations

from tests.kernels.elementwise_layers import binary, different_shapes, same_shapes, sum_scales, unary
from tests.kernels.registry import Draw, layers
from tests.kernels.weighted_layers import convolution, dense, depthwise


@layers("crest_conv2d_s16")
def conv2d_s16(draw: Draw) -> bytes:
    return draw.choice((convolution, dense))(draw, "int16", bias_type="int64")


@layers("crest_conv2d_wide_s16")
def conv2d_wide_s16(draw: Draw) -> bytes:
    return draw.choice((convolution, dense))(draw, "int16", True, "int64")


@layers("crest_conv2d_narrow_s16")
def conv2d_narrow_s16(draw: Draw) -> bytes:
    return draw.choice((convolution, dense))(draw, "int16", draw.chance(0.3), "int32")


@layers("crest_depthwise_s16")
def depthwise_s16(draw: Draw) -> bytes:
    return depthwise(draw, "int16", bias_type="int64", multiplier=draw.choice((1, 1, 2, 3)))


@layers("crest_depthwise_wide_s16")
def depthwise_wide_s16(draw: Draw) -> bytes:
    return depthwise(draw, "int16", True, "int64", draw.choice((1, 1, 2, 3)))


@layers("crest_add_s16")
def add_s16(draw: Draw) -> bytes:
    shapes = draw.choice((same_shapes, different_shapes))(draw)
    return binary(draw, draw.choice(("ADD", "SUB")), "int16", shapes, sum_scales(draw))


@layers("crest_mul_s16")
def mul_s16(draw: Draw) -> bytes:
    left, right = draw.scale(1e-6, 1e-2), draw.scale(1e-6, 1e-2)
    scales = [left, right, left * right * draw.choice((draw.scale(5e3, 2e5), draw.scale(1.1, 1e8)))]
    return binary(draw, "MUL", "int16", draw.choice((same_shapes, different_shapes))(draw), scales)


@layers("crest_relu_s16")
def relu_s16(draw: Draw) -> bytes:
    source = draw.scale(1e-6, 1e-2)
    return unary(draw, "RELU", ("int16", "int16"), (source, source * draw.choice((1.0, draw.scale(1e-3, 1e4)))))
