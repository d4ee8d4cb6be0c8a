"""Hard constraints as users write them: ``latency_ms <= 200``, ``ram_bytes <= 200K``."""

from __future__ import annotations

import math
import re
from typing import Final, Literal

from crest.frozen import Frozen
from crest.study.shorthand import AsText

Comparison = Literal["<=", ">="]

_PATTERN: Final = (
    r"^\s*([A-Za-z][A-Za-z0-9_]*)\s*(<=|>=)\s*([+-]?[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*([KM]?)\s*$"
)
_SUFFIX: Final = {"": 1, "K": 1024, "M": 1024**2}


class Constraint(Frozen):
    """``metric comparison limit``; written and stored as that text.

    ``limit`` is in the metric's own unit. K and M are 1024 and 1024 squared, and only stand behind metrics in bytes.
    """

    metric: str
    comparison: Comparison
    limit: float

    def __str__(self) -> str:
        limit = int(self.limit) if self.limit.is_integer() and abs(self.limit) < 1e15 else self.limit
        return f"{self.metric} {self.comparison} {limit}"

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read a constraint.

        Raises:
            ValueError: the text is not ``metric <= number`` or ``metric >= number``.
        """
        match = re.match(_PATTERN, text)
        if match is None:
            raise ValueError(
                f"{text!r} is not a constraint; write for example 'latency_ms <= 200' or 'ram_bytes <= 200K'"
            )
        metric, comparison, number, suffix = match.groups()
        if suffix and not metric.endswith("_bytes"):
            raise ValueError(f"{text!r}: the suffix {suffix} stands for bytes, and {metric} is not in bytes")
        limit = float(number) * _SUFFIX[suffix]
        if not math.isfinite(limit):
            raise ValueError(f"{text!r}: the limit is not a finite number")
        return cls.model_validate({"metric": metric, "comparison": comparison, "limit": limit})

    def violation(self, value: float) -> float:
        """How far a value is beyond the limit, relative to the limit: positive is violated, zero or less is kept.

        Relative, so that the violations of a millisecond and of a byte can be added up. A limit of zero gives the
        plain difference.
        """
        beyond = value - self.limit if self.comparison == "<=" else self.limit - value
        return beyond / abs(self.limit) if self.limit else beyond


CONSTRAINT_TEXT: Final = AsText(
    Constraint.parse, {"pattern": _PATTERN, "examples": ["latency_ms <= 200", "ram_bytes <= 200K"]}
)
