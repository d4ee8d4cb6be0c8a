"""What a replay asks for: boards, schedule and policy, checked before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crest.compiler.toolchain import CompilerChoice
from crest.energy import load_power
from crest.errors import StudyError
from crest.placement import AS_TARGET, AUTO, Placement
from crest.pricing import BuildOptions
from crest.replay.source import Source
from crest.schedule import Schedule
from crest.search.policy import MEASURED_METRICS, check_metrics, check_power
from crest.search.setup import resolve_schedule
from crest.study import Policy, Study
from crest.targets import Target, load_target
from crest.workloads import load_workload
from crest.yaml_io import validate


@dataclass(frozen=True)
class Choices:
    """What a replay changes; empty or None keeps what the run had.

    Attributes:
        targets: boards by name, or paths of .yaml files.
        clocks_mhz: clocks at which every board is priced; by default the fastest of each, and those of the run for its
            own board.
        schedule: when the boards infer.
        policy: what is good and what is allowed.
        metric: what boards are compared by; by default the first objective that is a measured cost, else the latency.
    """

    targets: Sequence[str] = ()
    clocks_mhz: Sequence[float] = ()
    schedule: Schedule | None = None
    policy: Policy | None = None
    metric: str | None = None


@dataclass(frozen=True)
class ReplayBoard:
    """A board at one clock."""

    target: Target
    placement: Placement

    @property
    def clock_mhz(self) -> float:
        """Its clock."""
        return max(self.target.clock_mhz)

    @property
    def label(self) -> str:
        """How tables name it."""
        return f"{self.target.name} {self.clock_mhz:g} MHz"


@dataclass(frozen=True)
class ReplayPlan:
    """Networks, and the boards, schedule and policy that they are replayed with."""

    source: Source
    boards: tuple[ReplayBoard, ...]
    schedule: Schedule
    policy: Policy
    metric: str

    def build_options(self, board: ReplayBoard) -> BuildOptions:
        """How networks become firmware: as they did in the run."""
        study = self.source.study
        compiler = CompilerChoice(study.compiler_command, study.toolchain.cflags)
        return BuildOptions(compiler, study.lowering, board.placement, study.tflm_tree)


def plan_replay(source: Source, choices: Choices) -> ReplayPlan:
    """Resolve what a replay asks for.

    Raises:
        StudyError: an unknown target, clock or metric, a board given twice, a policy on what nobody records or on what
            is not known of a board.
        AssetError: a target or model file that is missing or malformed.
        DataError: the period of the schedule is that of the workload, whose data are missing.
    """
    policy = choices.policy or source.study.policy
    check_metrics(policy, source.error_metrics)
    metric = _metric(policy, choices.metric)
    schedule = choices.schedule or recorded_schedule(source.study)
    boards = _boards(source.study.model_copy(update={"policy": policy}), choices)
    for board in boards:
        check_power(policy, board.target.name, load_power(board.target, board.clock_mhz).states, schedule)
    return ReplayPlan(source, boards, schedule, policy, metric)


def changed_policy(policy: Policy, minimize: Sequence[str], subject_to: Sequence[str]) -> Policy:
    """A policy with other objectives, or other constraints in the place of all its own; what is empty stays.

    Raises:
        StudyError: a constraint that cannot be read, or an objective given twice.
    """
    written = policy.model_dump(mode="json", exclude={"maximize", "score"} if minimize else None)
    changes = {"minimize": list(minimize), "subject_to": list(subject_to)}
    written |= {name: value for name, value in changes.items() if value}
    return validate(written, Policy, "--minimize, --subject-to", StudyError)


def recorded_schedule(study: Study) -> Schedule:
    """The schedule of a run; its workload is looked at only where the period is that of the windows.

    Raises:
        DataError: it has to be, and its data are missing.
    """
    cadenced = study.schedule.cadenced
    period_ms = 0.0
    if cadenced is not None and cadenced.period_ms is None:
        period_ms = load_workload(study.workload, study.folder).period_ms
    return resolve_schedule(study.schedule, period_ms)


def _metric(policy: Policy, asked: str | None) -> str:
    costs = [name for name in policy.objectives if name in MEASURED_METRICS]
    metric = asked or (costs[0] if costs else "latency_ms")
    if metric not in MEASURED_METRICS:
        raise StudyError(f"{metric!r} is no measured cost", hint=f"costs: {', '.join(MEASURED_METRICS)}")
    return metric


def _boards(study: Study, choices: Choices) -> tuple[ReplayBoard, ...]:
    boards = []
    for name in choices.targets or (study.target,):
        target = load_target(name)
        is_own = (str(Path(name).resolve()) if name.endswith(".yaml") else name) == study.target
        clocks_mhz = choices.clocks_mhz or (study.clocks_mhz if is_own else (None,))
        placement = _placement(study.placement, is_own)
        boards += [ReplayBoard(target.at(clock_mhz), placement) for clock_mhz in clocks_mhz]
    labels = [board.label for board in boards]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise StudyError(f"given twice: {', '.join(repeated)}", hint="boards are told apart by their name and clock")
    return tuple(boards)


def _placement(placement: Placement, is_own: bool) -> Placement:
    """Where the parts lie: as in the run, but for memories that another board need not have."""
    named = {placement.code, placement.weights, placement.arena} - {None, AUTO}
    return AS_TARGET if named and not is_own else placement
