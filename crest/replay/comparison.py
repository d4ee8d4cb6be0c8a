"""What a replay found, side by side: each network in the run and on each board, its verdict there, and what agrees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from crest import pareto
from crest.ledger import ReplayedRecord
from crest.measurement import Measurement
from crest.replay.plan import ReplayPlan
from crest.replay.source import Network
from crest.search import policy as scoring
from crest.search.derived import derive, recorded_metrics
from crest.study import Policy

Verdict = Literal["front", "dominated", "infeasible", "failed"]


@dataclass(frozen=True)
class Cell:
    """A network in one place: what it costs and how it stands there under the policy of the replay.

    ``measurement`` is None, with a reason, where it does not fit or where its build or run broke. ``metrics`` are the
    recorded errors and proxies together with the costs, and what the policy derives from them.
    """

    network: Network
    measurement: Measurement | None
    verdict: Verdict
    reason: str | None
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Column:
    """All networks in one place: the run, or a board of the replay; cells in the order of the networks."""

    label: str
    schedule: str
    cells: tuple[Cell, ...]

    @property
    def front(self) -> tuple[int, ...]:
        """Trials on the front of this place."""
        return tuple(cell.network.number for cell in self.cells if cell.verdict == "front")

    def values(self, metric: str) -> tuple[float | None, ...]:
        """A metric of each network; None where it has none."""
        return tuple(cell.metrics.get(metric) if cell.measurement else None for cell in self.cells)


@dataclass(frozen=True)
class Agreement:
    """How far a board agrees with the run.

    Attributes:
        shared: trials on the front of both.
        compared: networks with a value of the metric in both.
        kendall_tau: rank correlation (tau-b, -1..1) of the metric over these; None where one side has no two values
            that differ.
    """

    shared: tuple[int, ...]
    compared: int
    kendall_tau: float | None


@dataclass(frozen=True)
class Comparison:
    """The run as the first place, and the boards of a replay."""

    run: str
    policy: Policy
    source: Column
    boards: tuple[Column, ...]
    metric: str

    @property
    def places(self) -> tuple[Column, ...]:
        """The run, then the boards."""
        return (self.source, *self.boards)

    @property
    def everywhere(self) -> tuple[int, ...]:
        """Trials on the front of the run and of every board."""
        fronts = [set(place.front) for place in self.places]
        return tuple(number for number in self.source.front if all(number in front for front in fronts))

    def agreement(self, board: Column) -> Agreement:
        """A board beside the run."""
        pairs = zip(self.source.values(self.metric), board.values(self.metric), strict=True)
        known = [(left, right) for left, right in pairs if left is not None and right is not None]
        return Agreement(
            shared=tuple(number for number in self.source.front if number in board.front),
            compared=len(known),
            kendall_tau=kendall_tau(known),
        )


def compare(plan: ReplayPlan, records: Sequence[Sequence[ReplayedRecord]]) -> Comparison:
    """Put the records of a replay beside those of its run.

    Args:
        plan: what was replayed.
        records: for each board of the plan a record of each network, as ``run_replay`` returns them.
    """
    networks, policy = plan.source.networks, plan.policy
    first = networks[0].measurement
    clocks = dict.fromkeys(network.measurement.clock_mhz for network in networks)
    source = Column(
        label=f"{first.target} {'/'.join(f'{clock:g}' for clock in clocks)} MHz",
        schedule=first.schedule,
        cells=_ranked(policy, [_alone(policy, network, network.measurement) for network in networks]),
    )
    boards = []
    for board, column in zip(plan.boards, records, strict=True):
        cells = [_cell(policy, network, record) for network, record in zip(networks, column, strict=True)]
        boards.append(Column(board.label, plan.schedule.label, _ranked(policy, cells)))
    return Comparison(plan.source.run, policy, source, tuple(boards), plan.metric)


def _cell(policy: Policy, network: Network, record: ReplayedRecord) -> Cell:
    if record.state != "priced":
        return Cell(network, None, record.state, record.reason, network.recorded)
    assert record.measurement is not None, "what is priced has a measurement"
    return _alone(policy, network, record.measurement)


def _alone(policy: Policy, network: Network, measurement: Measurement) -> Cell:
    """A network by itself: infeasible, failed, or else dominated until the others are known."""
    recorded = {**network.recorded, **measurement.metrics()}
    derived = derive(policy, recorded)
    metrics = {**recorded, **derived.values}
    # What has no value cannot save a network that is late.
    late = bool(measurement.deadline_missed)
    constraints = [item for item in policy.subject_to if item.metric in metrics or not late]
    needed = () if late else policy.judged
    absent = scoring.absent_reason(recorded_metrics(policy, needed), recorded, measurement) or derived.reason(needed)
    if absent is not None:
        return Cell(network, measurement, "failed", absent, metrics)
    broken = scoring.describe_violations(constraints, metrics, measurement)
    return Cell(network, measurement, "infeasible" if broken else "dominated", broken, metrics)


def _ranked(policy: Policy, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells, with those on the front that keep all constraints and are dominated by nothing."""
    feasible = [index for index, cell in enumerate(cells) if cell.verdict == "dominated"]
    points = [tuple(policy.losses(cells[index].metrics).values()) for index in feasible]
    front = {feasible[index] for index in pareto.non_dominated(points)}
    return tuple(replace(cell, verdict="front") if index in front else cell for index, cell in enumerate(cells))


def kendall_tau(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Kendall's tau-b of two rankings (M. G. Kendall, The treatment of ties in ranking problems, 1945).

    Returns:
        -1..1; None where one side has no two values that differ.
    """
    agreeing = left_differs = right_differs = 0
    for (left, right), (other_left, other_right) in combinations(pairs, 2):
        one, two = _sign(left - other_left), _sign(right - other_right)
        agreeing += one * two
        left_differs += abs(one)
        right_differs += abs(two)
    return agreeing / math.sqrt(left_differs * right_differs) if left_differs and right_differs else None


def _sign(difference: float) -> int:
    return (difference > 0) - (difference < 0)
