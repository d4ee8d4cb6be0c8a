"""exp, logistic and tanh in 32-bit fixed point, with the steps and the rounding that TFLite's reference kernels define.

Qm.n has m integer and n fractional bits beside the sign; results are Q0.31. Tables are made with them at compile time.
"""

from __future__ import annotations

from typing import Final

_ONE: Final = (1 << 31) - 1
_QUARTER_POWERS: Final = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
"""exp(-2**(i - 2)) in Q0.31."""
_EXP_MINUS_EIGHTH: Final = 1895147668
_THIRD: Final = 715827883
_48_OVER_17, _32_OVER_17 = 1515870810, 1010580540
"""In Q2.29: the first guess of the reciprocal."""


def logistic(x: int) -> int:
    """1 / (1 + exp(-x)) for x in Q4.27."""
    if x == 0:
        return 1 << 30
    positive = _saturated(_reciprocal(_exp(-abs(x), 4)) << 1)
    return positive if x > 0 else _ONE - positive


def tanh(x: int) -> int:
    """Hyperbolic tangent of x in Q4.27."""
    if x == 0:
        return 0
    # Read as Q5.26, the same bits are twice x.
    magnitude = _saturated((_reciprocal(_exp(-abs(x), 5)) - (1 << 29)) << 2)
    return magnitude if x > 0 else -magnitude


def _saturated(value: int) -> int:
    return max(-(1 << 31), min(_ONE, value))


def _high_mul(a: int, b: int) -> int:
    """Product / 2**31, halves towards plus infinity."""
    return (a * b + (1 << 30)) >> 31


def _shift(value: int, exponent: int) -> int:
    """Quotient by 2**exponent, halves away from zero."""
    return (value + (1 << exponent >> 1) - (value < 0)) >> exponent


def _exp(x: int, integer_bits: int) -> int:
    """Exponential of x <= 0 with that many integer bits.

    A polynomial about -1/8 takes the part within a quarter, one factor each bit of the number of quarters beyond it.
    """
    if x == 0:
        return _ONE
    quarter = 1 << (29 - integer_bits)
    within = (x & (quarter - 1)) - quarter
    beyond = (within - x) >> (29 - integer_bits)
    a = (within << integer_bits) + (1 << 28)
    a2 = _high_mul(a, a)
    a3, a4 = _high_mul(a2, a), _high_mul(a2, a2)
    high_terms = _shift(_high_mul(_shift(a4, 2) + a3, _THIRD) + a2, 1)
    result = _EXP_MINUS_EIGHTH + _high_mul(_EXP_MINUS_EIGHTH, a + high_terms)
    for bit in range(integer_bits + 2):
        if beyond >> bit & 1:
            result = _high_mul(result, _QUARTER_POWERS[bit])
    return result


def _reciprocal(a: int) -> int:
    """2 / (1 + a) in Q2.29 for a in Q0.31: Newton's iteration on half of 1 + a."""
    half = (a + (1 << 31)) >> 1
    x = _48_OVER_17 + _high_mul(half, -_32_OVER_17)
    for _ in range(3):
        x += _saturated(_high_mul(x, (1 << 29) - _high_mul(half, x)) << 2)
    return x
