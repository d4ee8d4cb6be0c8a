"""Numbers as people read them: three significant digits, a unit, an interval. Units come from the metric's name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from crest.measurement import Estimate

ABSENT: Final = "-"


class Scale(NamedTuple):
    """How to show a metric: multiply by ``factor`` and write ``unit`` behind it."""

    factor: float
    unit: str

    def digits(self, value: float) -> str:
        """The number alone, scaled."""
        return _digits(value * self.factor)

    def text(self, value: float) -> str:
        """The number and its unit."""
        return f"{self.digits(value)} {self.unit}".rstrip()


# Suffix of a metric's name -> steps of display units, ascending: from which value on, its unit, how many make one.
_LADDERS: Final[dict[str, tuple[tuple[float, str, float], ...]]] = {
    "ms": ((0.0, "µs", 1e-3), (1.0, "ms", 1.0), (1e3, "s", 1e3)),
    "uj": ((0.0, "nJ", 1e-3), (1.0, "µJ", 1.0), (1e3, "mJ", 1e3), (1e6, "J", 1e6)),
    "uw": ((0.0, "nW", 1e-3), (1.0, "µW", 1.0), (1e3, "mW", 1e3), (1e6, "W", 1e6)),
    "bytes": ((0.0, "B", 1.0), (1024.0, "KiB", 1024.0), (1024.0**2, "MiB", 1024.0**2)),
    "mhz": ((0.0, "MHz", 1.0),),
    "pct": ((0.0, "%", 1.0),),
    "h": ((0.0, "h", 1.0), (48.0, "d", 24.0), (2 * 8760.0, "y", 8760.0)),
}
_WORDS: Final = {"rmse": "RMSE", "ram": "RAM", "ate": "ATE", "rte": "RTE", "f1": "F1"}
_COUNTS: Final = frozenset({"cycles", "instructions", "macs"})


def scale_for(name: str, values: Sequence[float]) -> Scale:
    """The display unit that suits the largest of ``values``; the ending of the metric's name is their own unit."""
    ladder = _LADDERS.get(name.rsplit("_", maxsplit=1)[-1]) if "_" in name else None
    if ladder is None:
        return Scale(1.0, "")
    largest = max((abs(value) for value in values), default=0.0)
    steps = [step for step in ladder if step[0] <= largest] if largest else [ladder[0]]
    _, unit, divisor = steps[-1]
    return Scale(1.0 / divisor, unit)


def format_value(name: str, value: float | None) -> str:
    """A metric's value with its unit; counts in full, a dash when absent."""
    if value is None:
        return ABSENT
    if name in _COUNTS:
        return f"{value:,.0f}"
    return scale_for(name, [value]).text(value)


def format_estimate(name: str, estimate: Estimate) -> str:
    """Value, unit and interval: ``12.8 mJ [9.30, 17.4]``; the reason when absent."""
    if estimate.value is None:
        return f"{ABSENT} ({estimate.reason})"
    return f"{format_value(name, estimate.value)} {format_interval(name, estimate)}".rstrip()


def format_interval(name: str, estimate: Estimate) -> str:
    """The interval alone, in the unit of the value: ``[9.30, 17.4]``; empty where there is none."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return ""
    if name in _COUNTS:
        return f"[{estimate.low:,.0f}, {estimate.high:,.0f}]"
    scale = scale_for(name, [estimate.value])
    return f"[{scale.digits(estimate.low)}, {scale.digits(estimate.high)}]"


def title_of(name: str) -> str:
    """A metric's name as a heading, without its unit: ``energy per window``, ``RMSE total``, ``flash``."""
    words = name.split("_")
    if len(words) > 1 and words[-1] in _LADDERS:
        words = words[:-1]
    return " ".join(_WORDS.get(word, word) for word in words)


def _digits(value: float, significant: int = 3) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = significant - 1 - math.floor(math.log10(abs(value)))
    if decimals > 6:
        return f"{value:.{significant - 1}e}"
    return f"{value:,.{max(decimals, 0)}f}"
