"""Fits supply currents to published energies of whole networks on systems whose set-up is not known.

::

    current = current of the board * (1 + (factor - 1) * share of the multiply-accumulates in dense layers)

A system is one submission: board, runtime, operating system, what else it keeps running. Systems of one board draw
currents that differ by more than their networks do, and some of them are odd, so that the current of a board is a
median over systems. Dense layers fetch each weight for a single multiply-accumulate, and a core that waits draws less;
from one engine to the next that differs by more than it is, so that the factor is a mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from crest.errors import AssetError

DENSE = "FULLY_CONNECTED"


@dataclass(frozen=True)
class Run:
    """One measured network.

    Attributes:
        board: what shares a current: chip, clock and regulator.
        system: the submission, one set-up of a board.
        program: the network.
        dense_share: of its multiply-accumulates, those in dense layers, 0..1.
        current_ma: mean over an inference.
    """

    board: str
    system: str
    program: str
    dense_share: float
    current_ma: float


@dataclass(frozen=True)
class CurrentFit:
    """Currents of boards, in mA, and the factor of dense layers."""

    current_ma: dict[str, float]
    dense_factor: float

    def predict_ma(self, run: Run) -> float:
        """Current of a run by its board.

        Raises:
            AssetError: no run of that board was fitted.
        """
        if run.board not in self.current_ma:
            raise AssetError(f"no run on {run.board} is left to tell its current from")
        return self.current_ma[run.board] * self._activity(run)

    def calibrated_ma(self, run: Run, others: Sequence[Run]) -> float:
        """Current of a run by other runs of its own system."""
        return float(np.exp(np.mean([np.log(o.current_ma / self._activity(o)) for o in others]))) * self._activity(run)

    def _activity(self, run: Run) -> float:
        return 1 + (self.dense_factor - 1) * run.dense_share


def fit_currents(runs: Sequence[Run]) -> CurrentFit:
    """The median current of each board over its systems, and the mean factor over all."""
    systems = _grouped(runs, lambda run: run.system)
    ratios = []
    for members in systems.values():
        logs = [[np.log(r.current_ma) for r in members if (r.dense_share > 0.5) is dense] for dense in (True, False)]
        if all(logs):
            ratios.append(np.mean(logs[0]) - np.mean(logs[1]))
    alike = CurrentFit({}, float(np.exp(np.mean(ratios))) if ratios else 1.0)
    boards: dict[str, list[float]] = defaultdict(list)
    for members in systems.values():
        flat = [np.log(run.current_ma / alike._activity(run)) for run in members]
        boards[members[0].board].append(float(np.mean(flat)))
    return CurrentFit({board: float(np.exp(np.median(logs))) for board, logs in boards.items()}, alike.dense_factor)


def leave_systems_out(runs: Sequence[Run]) -> dict[Run, float]:
    """True / predicted of each run under a fit of all systems but its own; a board's only system has none."""
    ratios: dict[Run, float] = {}
    for system, members in _grouped(runs, lambda run: run.system).items():
        fit = fit_currents([run for run in runs if run.system != system])
        ratios |= {run: run.current_ma / fit.predict_ma(run) for run in members if run.board in fit.current_ma}
    return ratios


def leave_programs_out(runs: Sequence[Run]) -> dict[Run, float]:
    """True / predicted of each run from the other runs of its system, by the factor of all other systems."""
    ratios = {}
    for system, members in _grouped(runs, lambda run: run.system).items():
        fit = fit_currents([run for run in runs if run.system != system])
        for run in members:
            if others := [other for other in members if other.program != run.program]:
                ratios[run] = run.current_ma / fit.calibrated_ma(run, others)
    return ratios


def by_system(ratios: dict[Run, float]) -> dict[Hashable, list[float]]:
    """Ratios of the runs of each system."""
    groups: dict[Hashable, list[float]] = defaultdict(list)
    for run, ratio in ratios.items():
        groups[run.system].append(ratio)
    return groups


def _grouped(runs: Sequence[Run], key: Callable[[Run], str]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return groups
