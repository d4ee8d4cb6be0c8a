"""Positions along one axis at even distances, and what windows make of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd


@dataclass(frozen=True)
class Steps:
    """Positions ``begin``, ``begin + stride``, ...; a stride of 0 belongs to a single position."""

    begin: int
    count: int
    stride: int

    @staticmethod
    def all_of(size: int) -> Steps:
        """Every position of an axis."""
        return Steps(0, size, 1)

    @property
    def last(self) -> int:
        """The last position."""
        return self.begin + (self.count - 1) * self.stride

    def join(self, other: Steps) -> Steps:
        """The fewest even steps that meet the positions of both; the strides of both are multiples of theirs."""
        stride = gcd(self.stride, other.stride, other.begin - self.begin)
        begin, last = min(self.begin, other.begin), max(self.last, other.last)
        return Steps(begin, (last - begin) // stride + 1 if stride else 1, stride)

    def index(self, position: int) -> int:
        """Where a position, which may lie beyond the ends, is counted in steps."""
        steps, rest = divmod(position - self.begin, self.stride or 1)
        assert rest == 0, "the position is not on the grid"
        return steps

    def same_positions(self, other: Steps) -> bool:
        """Whether both meet the same positions."""
        return (self.begin, self.count, self.last) == (other.begin, other.count, other.last)


@dataclass(frozen=True)
class Window:
    """A sliding window along one axis: tap k of output position p meets input position p*stride - pad + k*dilation."""

    size: int
    taps: int
    stride: int
    dilation: int
    pad: int

    def useful_taps(self, out: Steps) -> tuple[int, int] | None:
        """First and last tap that meet the input at some of the output positions; None if none does."""
        starts = range(out.begin * self.stride - self.pad, out.last * self.stride - self.pad + 1, self._hop(out) or 1)
        useful = [
            k for k in range(self.taps) if any(0 <= start + k * self.dilation < self.size for start in starts)
        ]  # fmt: skip
        return (useful[0], useful[-1]) if useful else None

    def reach(self, out: Steps, first: int, last: int) -> Steps:
        """Input positions, on one grid for all taps from ``first`` to ``last``, that output positions are made of."""
        begin = out.begin * self.stride - self.pad + first * self.dilation
        end = out.last * self.stride - self.pad + last * self.dilation
        stride = gcd(self._hop(out), self.dilation if last > first else 0)
        if stride:
            # What lies beyond the input is padding.
            begin += max(-(begin // stride) * stride, 0) if begin < 0 else 0
            end -= -(-max(end - self.size + 1, 0) // stride) * stride
        return Steps(begin, (end - begin) // stride + 1 if stride else 1, stride)

    def _hop(self, out: Steps) -> int:
        return out.stride * self.stride if out.count > 1 else 0
