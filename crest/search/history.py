"""Rebuilds an Optuna study from the ledger's trials: the ledger remembers, Optuna only proposes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Final

from crest.ledger import TrialRecord
from crest.models.extras import require_search_extra
from crest.search.contracts import Proposal
from crest.search.encoding import Encoding
from crest.search.policy import CAPACITY, DEADLINE, excess
from crest.study import Policy, SamplerName

POPULATION: Final = 20

BREEDERS: Final = {"nsga2": "NSGAIISampler", "nsga3": "NSGAIIISampler"}
"""Optuna's class of each sampler that breeds generations."""

# Satisfied unless a record says otherwise.
_SATISFIED_WHEN_SILENT: Final = (CAPACITY, DEADLINE)


def optuna_study(
    sampler: SamplerName,
    encoding: Encoding,
    policy: Policy,
    records: Sequence[TrialRecord],
    pending: Sequence[Proposal],
    population: int = POPULATION,
) -> Any:
    """An in-memory Optuna study that knows what the records say.

    Of several clocks the preferred one is told. Failed trials say nothing. Pending proposals are running trials, which
    samplers keep away from. An infeasible trial has no error: TPE takes it as pruned, by its constraints alone; the
    others need a complete trial, and get the mean of the known values, which tells them nothing either way. What a
    candidate has no value of TPE is not told; the others need every parameter in every trial.
    """
    optuna = require_search_extra("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["minimize"] * len(policy.objectives))
    distributions = encoding.distributions()
    told = [record for record in records if record.state != "failed"]

    def add(proposal: Proposal, **trial: Any) -> None:
        params = encoding.encode(proposal, fixed_length=sampler != "tpe")
        known = {name: distributions[name] for name in params}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=known, **trial))

    for record, trial in zip(told, _trials(sampler, policy, told, population), strict=True):
        add(Proposal(record.candidate, record.quantization), **trial)
    for proposal in pending:
        add(proposal, state=optuna.trial.TrialState.RUNNING)
    return study


def _trials(sampler: SamplerName, policy: Policy, told: Sequence[TrialRecord], population: int) -> list[dict[str, Any]]:
    """State, values, constraints and attributes of each trial."""
    optuna = require_search_extra("optuna")
    ranked = _ranked_violations(told)
    if sampler == "tpe":
        return [
            {"values": list(policy.losses(record.objectives).values()), "constraints": limits}
            if record.state == "complete"
            else {"state": optuna.trial.TrialState.PRUNED, "constraints": limits}
            for record, limits in zip(told, ranked, strict=True)
        ]
    values = _filled([policy.losses(record.objectives) for record in told], policy.objectives)
    constraints = _filled(ranked, sorted({key for limits in ranked for key in limits}))
    trials: list[dict[str, Any]] = [
        {"values": [row[name] for name in policy.objectives], "constraints": limits}
        for row, limits in zip(values, constraints, strict=True)
    ]
    if sampler in BREEDERS:
        # Optuna keeps the generation of a trial in an attribute that it sets when it proposes.
        key = getattr(optuna.samplers, BREEDERS[sampler])._get_generation_key()
        for index, trial in enumerate(trials):
            trial["system_attrs"] = {key: index // population}
    return trials


def _ranked_violations(told: Sequence[TrialRecord]) -> list[dict[str, float]]:
    """The violations of each trial, where what does not even fit comes behind all that was measured."""
    worst = max((excess(record.violations) for record in told), default=0.0)
    return [
        {**record.violations, CAPACITY: 1.0 + worst} if CAPACITY in record.violations else dict(record.violations)
        for record in told
    ]


def _filled(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> list[dict[str, float]]:
    """The rows with every name: what is absent becomes the mean of what is known, 0 when nothing is."""
    means: dict[str, float] = {}
    for name in names:
        known = [row[name] for row in rows if name in row]
        means[name] = fmean(known) if known and name not in _SATISFIED_WHEN_SILENT else 0.0
    return [{name: row.get(name, means[name]) for name in names} for row in rows]
