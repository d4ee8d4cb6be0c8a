"""Which sampler a study gets: the one it names, or by rule what ``auto`` comes to."""

from __future__ import annotations

from typing import Final, cast

from crest.errors import StudyError
from crest.ledger import ChosenSampler
from crest.study import Policy, SamplerName, SearchOptions

GRID_LIMIT: Final = 100_000
"""The most candidates that a grid enumerates."""

# Processor time of one proposal by a Gaussian process (benchmarks/sampler_cost.py): 3.5 s at a history of 400 for two
# objectives, 6.4 s for three; 15 s at a history of 100 for four.
_GP_HISTORY: Final = 400
_GP_OBJECTIVES: Final = 3
# What Optuna's documentation recommends its Bayesian samplers for.
_BAYESIAN_HISTORY: Final = 1000
# With constraints some of what is proposed is refused before training, and stays in the history: a round number.
_PROPOSALS_PER_TRIAL: Final = {False: 1, True: 2}


def choose_sampler(options: SearchOptions, policy: Policy, size: int) -> ChosenSampler | None:
    """What ``auto`` comes to, or None when the study names its sampler.

    Args:
        options: the search of a study.
        policy: its objectives and constraints.
        size: candidates in its space.
    """
    if options.sampler != "auto":
        return None
    objectives = len(policy.objectives)
    history = options.trials * _PROPOSALS_PER_TRIAL[bool(policy.subject_to)]
    wanted = f"{objectives} objective{'s' * (objectives > 1)}, a history of about {history} candidates"
    if size <= options.trials:
        return ChosenSampler(
            name="grid", reason=f"{size} candidates in the space, {options.trials} trials: all of them"
        )
    if objectives <= _GP_OBJECTIVES and history <= _GP_HISTORY:
        return ChosenSampler(name="gp", reason=f"{wanted}: few enough for a Gaussian process")
    if history <= _BAYESIAN_HISTORY:
        return ChosenSampler(name="tpe", reason=f"{wanted}: too many for a Gaussian process")
    name = "nsga2" if objectives <= _GP_OBJECTIVES else "nsga3"
    return ChosenSampler(name=name, reason=f"{wanted}: too many for a model, enough for generations")


def sampler_name(options: SearchOptions, chosen: ChosenSampler | None) -> SamplerName:
    """The sampler that a study names, or the one that was chosen for it."""
    return cast(SamplerName, chosen.name if chosen else options.sampler)


def check_grid(options: SearchOptions, size: int) -> None:
    """Refuse a grid that nobody would live to see the end of.

    Raises:
        StudyError: the study names the grid, and its space is too large.
    """
    if options.sampler == "grid" and size > GRID_LIMIT:
        raise StudyError(
            f"search.sampler: a grid of {size:.3g} candidates; at most {GRID_LIMIT} are enumerated",
            hint="narrow model.space or quantization, or take another sampler (auto chooses one)",
        )
