"""TFLM's integer arithmetic of int8 sums and products, and a cheaper formula that equals it for all pairs of values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crest.compiler.fixed_point import INT8_MAX, INT8_MIN, activation_range_int8, quantize_multiplier, requantize
from crest.compiler.graph import Operator, Tensor
from crest.errors import ModelError

Values = NDArray[np.int64]

_ADD_LEFT_SHIFT: Final = 20
_MOST_SHIFT: Final = 13
"""To the left, so that a product of two int8 stays below 2**30."""
_FRACTION_BITS: Final = 21
_FACTOR_BITS: Final = 8
"""Fractional bits of a factor of the linear formula, beyond those of its sum."""
_INT32_MAX: Final = (1 << 31) - 1
_REPAIRS: Final = 60


@dataclass(frozen=True)
class AddInt8:
    """ADD or SUB: both operands are brought to twice the larger scale, then added.

    Attributes:
        sign: of the right operand.
        multipliers: (multiplier, shift) of the left operand, the right one, and the output.
    """

    left: Tensor
    right: Tensor
    out: Tensor
    sign: int
    act_min: int
    act_max: int
    multipliers: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

    @classmethod
    def of(cls, op: Operator, left: Tensor, right: Tensor, out: Tensor) -> AddInt8:
        """The arithmetic of an operator."""
        common = 2.0 * max(left.scale, right.scale)
        factors = (left.scale / common, right.scale / common, common / ((1 << _ADD_LEFT_SHIFT) * out.scale))
        first, second, last = (quantize_multiplier(factor) for factor in factors)
        if last[1] > 0:
            raise ModelError("output scale is too small for its inputs")
        low, high = activation_range_int8(op.attributes["activation"], out.scale, out.zero_point)
        return cls(left, right, out, -1 if op.kind == "SUB" else 1, low, high, (first, second, last))

    def compute(self, left: Values, right: Values) -> Values:
        """What the reference computes from int8 values, element by element."""
        first, second, last = self.multipliers
        a = requantize((left - self.left.zero_point) << _ADD_LEFT_SHIFT, *first)
        b = requantize((right - self.right.zero_point) << _ADD_LEFT_SHIFT, *second)
        return np.clip(requantize(a + self.sign * b, *last) + self.out.zero_point, self.act_min, self.act_max)

    def fields(self) -> dict[str, int]:
        """Initialisers of ``crest_add_s8_params``."""
        (left_multiplier, left_shift), (right_multiplier, right_shift), (out_multiplier, out_shift) = self.multipliers
        return {
            "left_zero": self.left.zero_point, "right_zero": self.right.zero_point, "out_zero": self.out.zero_point,
            "left_multiplier": left_multiplier, "left_shift": left_shift,
            "right_multiplier": right_multiplier, "right_shift": right_shift, "right_sign": self.sign,
            "out_multiplier": out_multiplier, "out_shift": out_shift, "act_min": self.act_min, "act_max": self.act_max,
        }  # fmt: skip

    def linear(self) -> dict[str, int] | None:
        """Initialisers of ``crest_sum_s8_params``: one factor for each operand and an offset; None if none are exact.

        The sum has 21 fractional bits, about as many as the reference keeps on its way, so that both agree unless a
        pair of values lies within their rounding of a tie. All 65536 pairs are tried.
        """
        scale = 1 << (_FRACTION_BITS + _FACTOR_BITS)
        factors = [round(t.scale / self.out.scale * scale) for t in (self.left, self.right)]
        factors[1] *= self.sign
        values = np.arange(INT8_MIN, INT8_MAX + 1)
        target = self.compute(values[:, None], values[None, :])
        for _ in range(_REPAIRS):
            if max(map(abs, factors)) > _INT32_MAX:
                return None
            terms = [values * factor >> _FACTOR_BITS for factor in factors]
            product = terms[0][:, None] + terms[1][None, :]
            # Where the result is clamped, the sum may lie anywhere beyond.
            lowest = np.where(target > self.act_min, (target << _FRACTION_BITS) - product, -(1 << 62))
            highest = np.where(target < self.act_max, (target + 1 << _FRACTION_BITS) - 1 - product, 1 << 62)
            at_least, at_most = int(lowest.max()), int(highest.min())
            if at_least <= at_most:
                return self._formula(factors, at_least, at_most, product)
            # The factors that move the two pairs in conflict by just as much as they contradict each other.
            low, high = divmod(int(lowest.argmax()), 256), divmod(int(highest.argmin()), 256)
            apart = (low[0] - high[0], low[1] - high[1])
            size = apart[0] ** 2 + apart[1] ** 2
            step = (at_least - at_most + 1 << _FACTOR_BITS) / max(size, 1)
            factors = [factor + round(step * distance) for factor, distance in zip(factors, apart, strict=True)]
        return None

    def _formula(self, factors: list[int], at_least: int, at_most: int, product: Values) -> dict[str, int] | None:
        offset = (at_least + at_most) // 2
        sums = (int(product.min()) + offset, int(product.max()) + offset, offset)
        if max(map(abs, sums)) > _INT32_MAX:
            return None
        return {
            "left_factor": factors[0], "right_factor": factors[1], "offset": offset,
            "act_min": self.act_min, "act_max": self.act_max,
        }  # fmt: skip


@dataclass(frozen=True)
class MulInt8:
    """MUL: the product is brought to the scale of the output."""

    left: Tensor
    right: Tensor
    out: Tensor
    act_min: int
    act_max: int
    multiplier: int
    shift: int

    @classmethod
    def of(cls, op: Operator, left: Tensor, right: Tensor, out: Tensor) -> MulInt8:
        """The arithmetic of an operator."""
        multiplier, shift = quantize_multiplier(left.scale * right.scale / out.scale)
        if shift > _MOST_SHIFT:
            raise ModelError("output scale is too small for its inputs")
        low, high = activation_range_int8(op.attributes["activation"], out.scale, out.zero_point)
        return cls(left, right, out, low, high, multiplier, shift)

    def compute(self, left: Values, right: Values) -> Values:
        """What the reference computes from int8 values, element by element."""
        product = (left - self.left.zero_point) * (right - self.right.zero_point)
        value = requantize(product, self.multiplier, self.shift) + self.out.zero_point
        return np.clip(value, self.act_min, self.act_max)

    def fields(self) -> dict[str, int]:
        """Initialisers of ``crest_mul_s8_params``."""
        return {
            "left_zero": self.left.zero_point, "right_zero": self.right.zero_point, "out_zero": self.out.zero_point,
            "multiplier": self.multiplier, "shift": self.shift, "act_min": self.act_min, "act_max": self.act_max,
        }  # fmt: skip
