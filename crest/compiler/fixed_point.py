"""Real multipliers as the integers that TFLite's reference kernels compute with.

Source of the arithmetic: tensorflow/lite/kernels/internal/quantization_util (QuantizeMultiplier) and kernel_util
(CalculateActivationRangeQuantized); reimplemented from their definition.
"""

from __future__ import annotations

import math
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from crest.errors import ModelError

Integers = TypeVar("Integers", int, NDArray[np.int64])

INT8_MIN, INT8_MAX = -128, 127
INT16_MIN, INT16_MAX = -32768, 32767
_FLOAT_MAX: Final = float(np.finfo(np.float32).max)


def round_half_away(value: float) -> int:
    """Round to the nearest integer, halves away from zero, as C's ``round``."""
    return math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Return ``(multiplier, shift)`` with ``real ~ multiplier * 2**(shift - 31)``, multiplier in [2**30, 2**31)."""
    if not math.isfinite(real) or real < 0:
        raise ModelError(f"requantization factor {real} is not a positive number")
    if real == 0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    multiplier = round_half_away(mantissa * (1 << 31))
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        raise ModelError(f"requantization factor {real} is too large")
    return multiplier, shift


def requantize(values: Integers, multiplier: int, shift: int) -> Integers:
    """``values * multiplier * 2**(shift - 31)``, rounded as TFLM does: behind the product and behind the shift."""
    # What is shifted out to the left is lost, as in 32-bit registers.
    shifted = ((values << max(shift, 0)) + (1 << 31)) % (1 << 32) - (1 << 31)
    return rounding_shift_right((shifted * multiplier + (1 << 30)) >> 31, max(-shift, 0))


def rounding_shift_right(values: Integers, exponent: int) -> Integers:
    """``values / 2**exponent``, halves away from zero."""
    if exponent == 0:
        return values
    return (values + (1 << (exponent - 1)) - (values < 0)) >> exponent


def reduced_multiplier(multiplier: int) -> int:
    """The 15 bits that TFLM keeps of a multiplier where it scales a sum of 64 bits."""
    return 0x7FFF if multiplier >= 0x7FFF0000 else (multiplier + (1 << 15)) >> 16


def requantize_wide(value: int, multiplier: int, shift: int) -> int:
    """A sum of 64 bits times a reduced multiplier, rounded once, halves towards plus infinity, and cut to 32 bits."""
    wide = value * reduced_multiplier(multiplier) << max(shift - 15, 0)
    right = max(15 - shift, 0)
    return (((wide + ((1 << right) >> 1)) >> right) + (1 << 31)) % (1 << 32) - (1 << 31)


def activation_range_int8(activation: str, scale: float, zero_point: int) -> tuple[int, int]:
    """Clamping bounds of a fused activation on an int8 output."""
    return _activation_range(activation, scale, zero_point, (INT8_MIN, INT8_MAX))


def activation_range_int16(activation: str, scale: float) -> tuple[int, int]:
    """Clamping bounds of a fused activation on an int16 output, whose zero point is 0."""
    return _activation_range(activation, scale, 0, (INT16_MIN, INT16_MAX))


def _activation_range(activation: str, scale: float, zero_point: int, limits: tuple[int, int]) -> tuple[int, int]:
    low, high = activation_range_float(activation)

    def quantized(value: float) -> int:
        return zero_point + round_half_away(float(np.float32(value) / np.float32(scale)))

    return (
        max(limits[0], quantized(low)) if low > -_FLOAT_MAX else limits[0],
        min(limits[1], quantized(high)) if high < _FLOAT_MAX else limits[1],
    )


def activation_range_float(activation: str) -> tuple[float, float]:
    """Clamping bounds of a fused activation on a float32 output."""
    return {
        "none": (-_FLOAT_MAX, _FLOAT_MAX),
        "relu": (0.0, _FLOAT_MAX),
        "relu_n1_to_1": (-1.0, 1.0),
        "relu6": (0.0, 6.0),
    }[activation]
