"""A study meets the other rooms: its workload is loaded, its family narrowed, its target and schedule resolved."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version

from crest.backends.emulated import EmulatedBackend
from crest.compiler.toolchain import CompilerChoice
from crest.energy import Power, load_power
from crest.models.axes import Axis, narrow_space
from crest.models.family import Family, load_family
from crest.models.proxies import ACTIVATION_BYTES
from crest.pricing import BuildOptions, Conditions, Pricing, Reserve
from crest.schedule import Continuous, Schedule, cadenced
from crest.search.loop import SearchPlan
from crest.search.policy import check_power
from crest.study import ScheduleChoice, Study
from crest.targets import Target, load_target
from crest.timing import load_cycle_model
from crest.workloads import load_workload
from crest.workloads.base import Workload

_VERSIONED = ("crest", "numpy", "optuna", "torch", "tensorflow-cpu", "unicorn", "capstone")


@dataclass(frozen=True)
class Setup:
    """Everything that a study names, found and checked."""

    study: Study
    workload: Workload
    family: Family
    space: Mapping[str, Axis]
    target: Target
    schedule: Schedule

    def pricing(self, quantization: str, clock_mhz: float | None) -> Pricing:
        """The road for networks of one number format, which decides the size of the sensor buffers, at one clock."""
        return Pricing(self.conditions(quantization, clock_mhz), self.backend, self.build_options)

    def conditions(self, quantization: str, clock_mhz: float | None) -> Conditions:
        """Board, schedule and reserve of the study's prices at one clock; None for the fastest of the board."""
        board, reserve = self.target.at(clock_mhz), self.study.reserve
        buffers = self.workload.buffers(ACTIVATION_BYTES[quantization])  # type: ignore[index]
        return Conditions(
            target=board,
            schedule=self.schedule,
            reserve=Reserve(**reserve.model_dump(), workload_ram_bytes=buffers.total_bytes),
            clock_mhz=max(board.clock_mhz),
        )

    @property
    def boards(self) -> tuple[Target, ...]:
        """The board at each clock of the study."""
        return tuple(self.target.at(clock_mhz) for clock_mhz in self.study.clocks_mhz)

    @property
    def powers(self) -> tuple[Power, ...]:
        """Power by state at each clock of the study."""
        return tuple(load_power(board, max(board.clock_mhz)) for board in self.boards)

    @property
    def build_options(self) -> BuildOptions:
        """How graphs become firmware in this study."""
        compiler = CompilerChoice(self.study.compiler_command, self.study.toolchain.cflags)
        return BuildOptions(compiler, self.study.lowering, self.study.placement, self.study.tflm_tree)

    @cached_property
    def backend(self) -> EmulatedBackend:
        """What runs the programs of this study."""
        return EmulatedBackend(self.study.backend.emulated.engine)

    def plan(self) -> SearchPlan:
        """What the search loop needs to know.

        Raises:
            StudyError: the policy names a metric that nobody records.
        """
        return SearchPlan(
            study=self.study,
            space=self.space,
            error_metrics=tuple(self.workload.error_metrics),
            workload_fingerprint=self.workload.fingerprint(),
            versions=self._versions(),
        )

    def _versions(self) -> dict[str, str]:
        pricing = self.pricing(self.study.quantization[0], self.study.clocks_mhz[0])
        found = {
            "python": platform.python_version(),
            "backend": self.backend.identity,
            "toolchain": pricing.toolchain.identity,
            "runtime": pricing.runtime,
            "timing_model": "; ".join(dict.fromkeys(load_cycle_model(board).identity for board in self.boards)),
            "energy_model": "; ".join(dict.fromkeys(power.model for power in self.powers)),
        }
        for name in _VERSIONED:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                continue
        return found


def set_up(study: Study) -> Setup:
    """Resolve a study.

    Raises:
        StudyError: an unknown name, an axis narrowed to nonsense, or a policy on what is not known of the board.
        AssetError: a target or model file that is missing or malformed.
        DataError: the workload's data are missing or broken.
    """
    target = load_target(study.target)
    family = load_family(study.model.family)
    workload = load_workload(study.workload, study.folder)
    space = narrow_space(family.space, study.model.space, "model.space")
    setup = Setup(study, workload, family, space, target, resolve_schedule(study.schedule, workload.period_ms))
    for power in setup.powers:
        check_power(study.policy, target.name, power.states, setup.schedule)
    return setup


def resolve_schedule(choice: ScheduleChoice, workload_period_ms: float) -> Schedule:
    """The schedule of a study; a cadence without a period takes the workload's own.

    Raises:
        StudyError: a margin or a time of collecting that is longer than that period.
    """
    if choice.cadenced is None:
        return Continuous()
    return cadenced(
        period_ms=choice.cadenced.period_ms or workload_period_ms,
        sleep="sleep" if choice.cadenced.sleep == "sleep" else "deep_sleep",
        wake_margin_ms=choice.cadenced.wake_margin_ms,
        sampling=choice.cadenced.sampling,
        source="schedule.cadenced",
    )
