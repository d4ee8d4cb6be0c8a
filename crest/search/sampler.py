"""Proposes candidates: every ask depends on the seed, the trial number and the recorded history, on nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from crest.ledger import TrialRecord
from crest.models.extras import require_search_extra
from crest.search.contracts import Proposal
from crest.search.encoding import Encoding, proposal_key
from crest.search.history import BREEDERS, POPULATION, optuna_study
from crest.search.warm_start import NOTHING_KNOWN, WarmStart
from crest.study import Policy, SamplerName

_ATTEMPTS: Final = 8
_RANDOM_STARTS_LIMIT: Final = 10

# Streams of random numbers that must not repeat each other.
_MODEL_STREAM: Final = 0
_RANDOM_STREAM: Final = 1
_GRID_STREAM: Final = 2


@dataclass(frozen=True)
class Sampler:
    """Asks for the next candidate of a study.

    Random proposals come first, until ``startup_trials`` of them were feasible and trained: one that breaks a
    constraint costs no training. Where hardly anything is feasible, the model takes over after ten times as many.
    Trials of a warm start count among them. A grid is walked in an order shuffled by the seed.

    Attributes:
        name: which sampler proposes after the random starts.
        seed: seed of the study.
        startup_trials: trained random candidates to start with.
        encoding: the search space.
        policy: objectives and constraints.
        population: candidates of a generation, for samplers that breed.
        warm: what is known before the first trial.
    """

    name: SamplerName
    seed: int
    startup_trials: int
    encoding: Encoding
    policy: Policy
    population: int = POPULATION
    warm: WarmStart = field(default=NOTHING_KNOWN, repr=False)

    def ask(self, number: int, history: Sequence[TrialRecord], pending: Sequence[Proposal]) -> Proposal | None:
        """The candidate of a trial.

        Args:
            number: the trial that asks.
            history: finished trials, oldest first.
            pending: proposals that are not finished yet.

        Returns:
            A proposal that is neither in the history nor pending nor avoided by the warm start, or None when the
            space holds no other.
        """
        seen = set(self.warm.avoided) | {
            proposal_key(Proposal(record.candidate, record.quantization)) for record in history
        }
        seen |= {proposal_key(proposal) for proposal in pending}
        if len(seen) >= self.encoding.size:
            return None
        if self.name == "grid":
            return next(proposal for proposal in self._grid_from(number) if proposal_key(proposal) not in seen)
        told = (*self.warm.told, *history)
        if self.name != "random" and not self._starting(told):
            for proposal in self._model_proposals(number, told, pending):
                if proposal_key(proposal) not in seen:
                    return proposal
        attempt = 0
        while True:
            proposal = self.encoding.sample((self.seed, number, _RANDOM_STREAM, attempt))
            if proposal_key(proposal) not in seen:
                return proposal
            attempt += 1

    @cached_property
    def _grid_order(self) -> NDArray[np.int64]:
        """The numbers of all proposals, shuffled: a grid that is cut short has seen all parts of the space."""
        return np.random.default_rng((self.seed, _GRID_STREAM)).permutation(self.encoding.size)

    def _grid_from(self, number: int) -> Iterator[Proposal]:
        """The grid from a trial's place on: trials before it have taken, or skipped as known, all places before."""
        places = chain(range(number, self.encoding.size), range(min(number, self.encoding.size)))
        return (self.encoding.at(int(self._grid_order[place])) for place in places)

    def _starting(self, history: Sequence[TrialRecord]) -> bool:
        trained = sum(record.state == "complete" for record in history)
        nothing_told = all(record.state == "failed" for record in history)
        many = len(history) >= _RANDOM_STARTS_LIMIT * self.startup_trials
        return nothing_told or (trained < self.startup_trials and not many)

    def _model_proposals(
        self, number: int, history: Sequence[TrialRecord], pending: Sequence[Proposal]
    ) -> Iterator[Proposal]:
        """A few proposals of the model, each from a sampler of its own seed; those before count as pending."""
        study = optuna_study(self.name, self.encoding, self.policy, history, pending, self.population)
        distributions = self.encoding.distributions()
        for attempt in range(_ATTEMPTS):
            stream = np.random.SeedSequence((self.seed, number, _MODEL_STREAM, attempt))
            study.sampler = self._optuna_sampler(int(stream.generate_state(1)[0]))
            with _quiet(), _reproducible(self.name):
                trial = study.ask(distributions)
            yield self.encoding.decode(trial.params)

    def _optuna_sampler(self, seed: int) -> Any:
        samplers = require_search_extra("optuna").samplers
        with _quiet():
            if self.name == "gp":
                return samplers.GPSampler(seed=seed, n_startup_trials=0)
            if self.name in BREEDERS:
                return getattr(samplers, BREEDERS[self.name])(seed=seed, population_size=self.population)
            return samplers.TPESampler(seed=seed, n_startup_trials=0)


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings about experimental features."""
    optuna = require_search_extra("optuna")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


@contextmanager
def _reproducible(name: SamplerName) -> Iterator[None]:
    """One torch thread where torch is used, since sums depend on how they are split."""
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
