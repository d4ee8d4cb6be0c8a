"""What a study calls good: objectives, hard constraints, derived metrics and a scalar score."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sized
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from crest.frozen import Frozen
from crest.study.constraint import CONSTRAINT_TEXT, Constraint
from crest.study.expression import FUNCTIONS, Expression
from crest.study.shorthand import AsText, NamedValue, distinct

SCORE: Final = "score"
"""The metric that the terms of a score add up to."""

PUBLISHED_SCORES: Final[dict[str, Any]] = {
    "published_audio": (
        {"metric": "macro_f1", "weight": 1.0},
        {"metric": "energy_per_inference_uj", "weight": -0.1, "kind": "normalized", "reference": 400e3},
    )
}
"""Scores by name, as published; source: arXiv 2606.15004, audio: macro F1 less a tenth of the energy over 400 mJ."""

_METRIC_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")

_EXPRESSION_TEXT: Final = AsText(
    Expression.parse, {"examples": ["energy_per_window_uj / 1000", "latency_ms * max(1, ram_bytes / 16384)"]}
)


class Term(Frozen):
    """One term of a score."""

    metric: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", description="a recorded or derived metric")
    weight: float = Field(
        allow_inf_nan=False, description="weight; the score is maximized, so a cost has a negative one"
    )
    kind: Literal["weighted", "normalized", "boundary", "target"] = Field(
        default="weighted",
        description="weighted: weight * metric; normalized: weight * metric / reference; "
        "boundary: -weight * max(0, metric - reference); target: -weight * abs(metric - reference)",
    )
    reference: float | None = Field(
        default=None, allow_inf_nan=False, description="in the unit of the metric; weighted terms have none"
    )

    @model_validator(mode="after")
    def _reference_where_needed(self) -> Term:
        if (self.reference is None) != (self.kind == "weighted"):
            wants = "takes no reference" if self.kind == "weighted" else "needs a reference"
            raise ValueError(f"a {self.kind} term {wants}")
        if self.kind == "normalized" and not self.reference:
            raise ValueError("a metric cannot be normalized by zero")
        return self

    @property
    def formula(self) -> str:
        """The term as an expression."""
        if self.kind == "weighted":
            return f"{self.weight!r} * {self.metric}"
        if self.kind == "normalized":
            return f"{self.weight!r} * {self.metric} / {self.reference!r}"
        function = f"max(0, {self.metric} - {self.reference!r})"
        if self.kind == "target":
            function = f"abs({self.metric} - {self.reference!r})"
        return f"{-self.weight!r} * {function}"


def _is_empty(given: Sized) -> bool:
    """Left out of what is written, so that a study from before the key existed keeps its hash."""
    return not given


class Policy(Frozen):
    """What is good (objectives) and what is allowed (hard constraints), over recorded and derived metrics by name."""

    minimize: tuple[str, ...] = Field(
        default=(), min_length=1, exclude_if=_is_empty, description="metrics to minimize, one or several"
    )
    maximize: tuple[str, ...] = Field(
        default=(), min_length=1, exclude_if=_is_empty, description="metrics to maximize, one or several"
    )
    subject_to: tuple[Annotated[Constraint, CONSTRAINT_TEXT], ...] = Field(
        default=(), description="hard constraints, for example latency_ms <= 200"
    )
    derive: dict[str, Annotated[Expression, _EXPRESSION_TEXT]] = Field(
        default={},
        exclude_if=_is_empty,
        description="metrics of your own: a name and an expression over other metrics",
    )
    score: Annotated[tuple[Term, ...], NamedValue(PUBLISHED_SCORES)] = Field(
        default=(),
        min_length=1,
        exclude_if=_is_empty,
        description="terms of the metric score, which is maximized; or the name of a published score",
    )

    @field_validator("minimize", "maximize")
    @classmethod
    def _no_repeats(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return distinct(names)

    @field_validator("derive")
    @classmethod
    def _proper_names(cls, derive: dict[str, Expression]) -> dict[str, Expression]:
        for name in derive:
            if not _METRIC_NAME.fullmatch(name) or keyword.iskeyword(name):
                raise ValueError(f"{name!r} cannot name a metric: small letters, digits and _, a letter first")
            if name in (*FUNCTIONS, SCORE):
                raise ValueError(f"{name!r} cannot name a metric of yours: it is taken")
        return derive

    @model_validator(mode="after")
    def _consistent(self) -> Policy:
        if not self.objectives:
            raise ValueError("no objective: give at least one metric in minimize or maximize, or a score")
        distinct(self.objectives)
        try:
            _ = self.derived
        except CycleError as exc:
            raise ValueError(f"derive: these are defined by each other: {', '.join(exc.args[1])}") from None
        return self

    @property
    def objectives(self) -> tuple[str, ...]:
        """Metrics that are searched for their best values: those to minimize, those to maximize, the score."""
        return (*self.minimize, *self.maximize, *([SCORE] if self.score else []))

    def losses(self, values: Mapping[str, float]) -> dict[str, float]:
        """The objectives that have a value, in the order of the policy, as values to minimize.

        Records hold metrics as they are; whoever compares them comes here.
        """
        return {
            name: values[name] if name in self.minimize else -values[name] for name in self.objectives if name in values
        }

    @property
    def derived(self) -> dict[str, Expression]:
        """The derived metrics and the score, each behind those that it is derived from."""
        written = dict(self.derive)
        if self.score:
            written[SCORE] = Expression.parse(" + ".join(term.formula for term in self.score))
        graph = {name: [use.name for use in expression.names] for name, expression in written.items()}
        return {name: written[name] for name in TopologicalSorter(graph).static_order() if name in written}

    @property
    def judged(self) -> tuple[str, ...]:
        """Metrics that decide about a candidate: objectives and constrained ones, each once."""
        return tuple(dict.fromkeys([*self.objectives, *(item.metric for item in self.subject_to)]))

    def recorded(self, metric: str) -> frozenset[str]:
        """The recorded metrics that a metric stands on; one that is not derived stands on itself."""
        found: dict[str, frozenset[str]] = {}
        for name, expression in self.derived.items():
            found[name] = frozenset().union(*(found.get(use.name, {use.name}) for use in expression.names))
        return found.get(metric, frozenset({metric}))
