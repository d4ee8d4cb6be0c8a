"""Real multipliers as the integers that TFLite's reference kernels compute with.

Source of the arithmetic: tensorflow/lite/kernels/internal/quantization_util (QuantizeMultiplier) and kernel_util
(CalculateActivationRangeQuantized); reimplemented from their definition.
"""

from __future__ import annotations

import math

import numpy as np

from crest.errors import ModelError

INT8_MIN, INT8_MAX = -128, 127
INT16_MIN, INT16_MAX = -32768, 32767


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


def requantize(value: int, multiplier: int, shift: int) -> int:
    """``value * multiplier * 2**(shift - 31)``, rounded as TFLM does: behind the product, then once more."""
    wide = value * (1 << max(shift, 0)) * multiplier
    high = (wide + (1 << 30)) >> 31
    right = max(-shift, 0)
    half = (1 << right) >> 1
    return (high + half - (1 if high < 0 and right else 0)) >> right


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


def _activation_range(activation: str, scale: float, zero_point: int, bounds: tuple[int, int]) -> tuple[int, int]:
    low, high = bounds
    if activation in ("relu", "relu6"):
        low = max(low, zero_point)
    if activation == "relu6":
        high = min(high, zero_point + round_half_away(float(np.float32(6.0) / np.float32(scale))))
    return low, high


def activation_range_float(activation: str) -> tuple[float, float]:
    """Clamping bounds of a fused activation on a float32 output."""
    largest = float(np.finfo(np.float32).max)
    return {"none": (-largest, largest), "relu": (0.0, largest), "relu6": (0.0, 6.0)}[activation]
