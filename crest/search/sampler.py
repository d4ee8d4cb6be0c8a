"""Proposes candidates: every ask depends on the seed, the trial number and the recorded history, on nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from crest.ledger import TrialRecord
from crest.models.extras import require_search_extra
from crest.search.contracts import Proposal
from crest.search.encoding import Encoding, proposal_key
from crest.search.history import NSGA2_POPULATION, optuna_study
from crest.study import Policy, SamplerName

_ATTEMPTS: Final = 8
_RANDOM_STARTS_LIMIT: Final = 10

# Streams of random numbers that must not repeat each other.
_MODEL_STREAM: Final = 0
_RANDOM_STREAM: Final = 1


@dataclass(frozen=True)
class Sampler:
    """Asks for the next candidate of a study.

    Random proposals come first, until ``startup_trials`` of them were feasible and trained: one that breaks a
    constraint costs no training. Where hardly anything is feasible, the model takes over after ten times as many.

    Attributes:
        name: which sampler proposes after the random starts.
        seed: seed of the study.
        startup_trials: trained random candidates to start with.
        encoding: the search space.
        policy: objectives and constraints.
    """

    name: SamplerName
    seed: int
    startup_trials: int
    encoding: Encoding
    policy: Policy

    def ask(self, number: int, history: Sequence[TrialRecord], pending: Sequence[Proposal]) -> Proposal | None:
        """The candidate of a trial.

        Args:
            number: the trial that asks.
            history: finished trials, oldest first.
            pending: proposals that are not finished yet.

        Returns:
            A proposal that is neither in the history nor pending, or None when the space holds no other.
        """
        seen = {proposal_key(Proposal(record.candidate, record.quantization)) for record in history}
        seen |= {proposal_key(proposal) for proposal in pending}
        if len(seen) >= self.encoding.size:
            return None
        if self.name != "random" and not self._starting(history):
            for proposal in self._model_proposals(number, history, pending):
                if proposal_key(proposal) not in seen:
                    return proposal
        attempt = 0
        while True:
            proposal = self.encoding.sample((self.seed, number, _RANDOM_STREAM, attempt))
            if proposal_key(proposal) not in seen:
                return proposal
            attempt += 1

    def _starting(self, history: Sequence[TrialRecord]) -> bool:
        trained = sum(record.state == "complete" for record in history)
        nothing_told = all(record.state == "failed" for record in history)
        many = len(history) >= _RANDOM_STARTS_LIMIT * self.startup_trials
        return nothing_told or (trained < self.startup_trials and not many)

    def _model_proposals(
        self, number: int, history: Sequence[TrialRecord], pending: Sequence[Proposal]
    ) -> Iterator[Proposal]:
        """A few proposals of the model, each from a sampler of its own seed; those before count as pending."""
        study = optuna_study(self.name, self.encoding, self.policy, history, pending)
        distributions = self.encoding.distributions()
        for attempt in range(_ATTEMPTS):
            stream = np.random.SeedSequence((self.seed, number, _MODEL_STREAM, attempt))
            study.sampler = _optuna_sampler(self.name, int(stream.generate_state(1)[0]))
            with _quiet_and_reproducible(self.name):
                trial = study.ask(distributions)
            yield self.encoding.decode(trial.params)


def _optuna_sampler(name: SamplerName, seed: int) -> Any:
    optuna = require_search_extra("optuna")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=0)
        if name == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=NSGA2_POPULATION)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=0)


@contextmanager
def _quiet_and_reproducible(name: SamplerName) -> Iterator[None]:
    """No warnings about experimental features; one torch thread, since sums depend on how they are split."""
    optuna = require_search_extra("optuna")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name != "gp":
            yield
            return
        require_search_extra("scipy")
        torch = require_search_extra("torch")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
