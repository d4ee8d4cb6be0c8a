"""Reads study.yaml into one frozen object: the axes of a search, nothing else."""

from crest.study.constraint import Constraint
from crest.study.expression import Expression
from crest.study.load import load_study, parse_study, study_schema
from crest.study.policy import Policy
from crest.study.records import (
    BackendChoice,
    Cadenced,
    ModelChoice,
    Quantization,
    Reserve,
    SamplerName,
    ScheduleChoice,
    SearchOptions,
    Study,
    WarmStartOptions,
)

__all__ = [
    "BackendChoice",
    "Cadenced",
    "Constraint",
    "Expression",
    "ModelChoice",
    "Policy",
    "Quantization",
    "Reserve",
    "SamplerName",
    "ScheduleChoice",
    "SearchOptions",
    "Study",
    "WarmStartOptions",
    "load_study",
    "parse_study",
    "study_schema",
]
