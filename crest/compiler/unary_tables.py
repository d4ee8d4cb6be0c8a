"""What int8 operators of one operand make of each of the 256 values: TFLM's arithmetic, done at compile time."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crest.compiler import fixed_functions
from crest.compiler.fixed_point import (
    INT8_MAX,
    INT8_MIN,
    quantize_multiplier,
    requantize,
    round_half_away,
    rounding_shift_right,
)
from crest.compiler.graph import Tensor

INPUTS: Final[NDArray[np.int64]] = np.arange(INT8_MIN, INT8_MAX + 1)
"""Tables are in this order."""
# Logistic and tanh read their argument in Q4.27.
_ARGUMENT_FRACTION_BITS: Final = 27


def rescaled(source: Tensor, out: Tensor, low: int = INT8_MIN) -> NDArray[np.int64]:
    """A change of scale and zero point, with a lower bound."""
    multiplier, shift = quantize_multiplier(source.scale / out.scale)
    return _clipped(requantize(INPUTS - source.zero_point, multiplier, shift) + out.zero_point, low, INT8_MAX)


def relu6(source: Tensor) -> NDArray[np.int64]:
    """Clamped to [0, 6] without a change of scale, whatever scale the output states, as in the reference."""
    six = source.zero_point + round_half_away(float(np.float32(6.0) / np.float32(source.scale)))
    return _clipped(INPUTS, source.zero_point, min(six, INT8_MAX))


def leaky_relu(source: Tensor, out: Tensor, alpha: float) -> NDArray[np.int64]:
    """Two changes of scale, one for each sign; the factors are products of float32."""
    in_scale, out_scale = np.float32(source.scale), np.float32(out.scale)
    values = INPUTS - source.zero_point
    positive = requantize(values, *quantize_multiplier(float(in_scale / out_scale)))
    negative = requantize(values, *quantize_multiplier(float(in_scale * np.float32(alpha) / out_scale)))
    return _clipped(np.where(values >= 0, positive, negative) + out.zero_point)


def logistic(source: Tensor) -> NDArray[np.int64]:
    """Logistic function on a scale of 1/256."""
    arguments, saturated = _arguments(source)
    values = np.array([fixed_functions.logistic(int(x)) for x in arguments])
    table = _clipped(rounding_shift_right(values, 31 - 8) + INT8_MIN)
    return np.where(saturated < 0, INT8_MIN, np.where(saturated > 0, INT8_MAX, table))


def tanh(source: Tensor) -> NDArray[np.int64]:
    """Hyperbolic tangent on a scale of 1/128."""
    arguments, saturated = _arguments(source)
    values = np.array([fixed_functions.tanh(int(x)) for x in arguments])
    table = _clipped(rounding_shift_right(values, 31 - 7))
    return np.where(saturated < 0, INT8_MIN, np.where(saturated > 0, INT8_MAX, table))


def _arguments(source: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The inputs in Q4.27 where they fit, and the sign of those that do not."""
    real = source.scale * (1 << _ARGUMENT_FRACTION_BITS)
    mantissa, shift = math.frexp(real)
    values = INPUTS - source.zero_point
    radius = math.floor(15 * 2.0**_ARGUMENT_FRACTION_BITS / 2.0**shift)
    saturated = np.where(values <= -radius, -1, np.where(values >= radius, 1, 0))
    inside = np.where(saturated == 0, values, 0)
    return requantize(inside, round_half_away(mantissa * (1 << 31)), shift), saturated


def hard_swish(source: Tensor, out: Tensor) -> NDArray[np.int64]:
    """Hard swish, x * relu6(x + 3) / 6, in 16-bit fixed point."""
    fine = source.scale / 128
    out_multiplier, out_exponent = _short_multiplier(fine / out.scale)
    gate_multiplier, gate_exponent = _short_multiplier(fine * 32768 / 3)
    values = (INPUTS - source.zero_point) << 7
    # The gate is x / 3 in Q0.15, saturated to [-1, 1], then brought to [0, 1].
    gate = _short_high_mul(_saturated_left(values, max(gate_exponent - 1, 0)), gate_multiplier)
    gate = _saturated_left(gate, min(max(gate_exponent, 0), 1))
    gate = (_short_shift_right(gate, max(-gate_exponent, 0)) + (1 << 15)) >> 1
    product = gate * _short_high_mul(values, out_multiplier)
    # Rounded towards zero.
    product = np.sign(product) * (np.abs(product) >> 15)
    return _clipped(_short_shift_right(product, -out_exponent) + out.zero_point)


def _short_multiplier(real: float) -> tuple[int, int]:
    multiplier, exponent = quantize_multiplier(real)
    return min((multiplier + (1 << 15)) >> 16, (1 << 15) - 1), exponent


def _short_high_mul(values: NDArray[np.int64], multiplier: int) -> NDArray[np.int64]:
    high: NDArray[np.int64] = (values * multiplier + (1 << 14)) >> 15
    return high


def _short_shift_right(values: NDArray[np.int64], exponent: int) -> NDArray[np.int64]:
    """In 16 bits, where the reference takes anything that is shifted out altogether for more than a half."""
    return rounding_shift_right(values, exponent) if exponent < 16 else np.where(values < 0, -1, 1)


def _saturated_left(values: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    return _clipped(values << shift, -(1 << 15), (1 << 15) - 1)


def _clipped(values: NDArray[np.int64], low: int = INT8_MIN, high: int = INT8_MAX) -> NDArray[np.int64]:
    clipped: NDArray[np.int64] = np.clip(values, low, high)
    return clipped
