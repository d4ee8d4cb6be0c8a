"""THE road from a graph to its price: lower, compile, run, and turn what was executed into time and energy.

What is cached is the execution, never the price: cycles and joules are derived afresh from it with today's models. Its
key holds topology, shapes, types, passes, flags, toolchain, engine and board, and no weights.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from crest.assets import asset_path, cache_dir
from crest.backends.base import Backend
from crest.compiler.build import OWN_RUNTIME, Lowered, build_program, check_fit, check_static_fit, lower_graph
from crest.compiler.graph import Graph
from crest.compiler.layout import fixed_layout
from crest.compiler.passes import PassSet
from crest.compiler.program import Program, ProgramLayer
from crest.compiler.tflm import open_tflm
from crest.compiler.toolchain import CompilerChoice, Toolchain, target_toolchain
from crest.emulators.issue_rules import issue_rules
from crest.emulators.profile import PROFILE_SCHEMA, ExecutionProfile
from crest.energy import Power, Work, load_power
from crest.files import write_atomically
from crest.frozen import Frozen
from crest.measurement import Estimate, LayerCost, Lowering, Measurement, MemoryReport
from crest.placement import AS_TARGET, Placement
from crest.schedule import Schedule, characterise
from crest.targets import Target
from crest.timing import load_cycle_model

EXECUTION_SCHEMA = 2


class Reserve(Frozen):
    """What the application around the model needs: memory in bytes, processor time in percent of a period."""

    flash_bytes: int = 0
    ram_bytes: int = 0
    cpu_pct: float = 0.0
    workload_ram_bytes: int = 0


class Execution(Frozen):
    """What a program executed in one inference and what it occupies: everything a price is derived from."""

    schema_version: int = EXECUTION_SCHEMA
    key: str
    backend: str
    toolchain: str
    lowering: Lowering = "optimized"
    runtime: str = OWN_RUNTIME
    elf_sha256: str
    golden_pairs_checked: int
    code_region: str
    layers: tuple[ProgramLayer, ...]
    memory: MemoryReport
    profile: ExecutionProfile


@dataclass(frozen=True)
class Conditions:
    """What a price is asked for: board, clock, schedule and what else must fit."""

    target: Target
    schedule: Schedule
    reserve: Reserve
    clock_mhz: float


@dataclass(frozen=True)
class BuildOptions:
    """How a graph becomes firmware.

    Attributes:
        compiler: which compiler, with which flags.
        lowering: which of our passes; none where TFLite Micro runs the model.
        placement: where code, weights and arena lie.
        tflm_tree: folder of the TFLite Micro sources that run the model, empty for that of ``$CREST_TFLM``; None for
            the compiler's own code.
    """

    compiler: CompilerChoice = field(default_factory=CompilerChoice)
    lowering: Lowering = "optimized"
    placement: Placement = AS_TARGET
    tflm_tree: str | None = None


class Pricing:
    """Prices graphs on one target under one schedule.

    Args:
        conditions: what the price is asked for.
        backend: what runs the programs.
        options: how a graph becomes firmware.
        use_cache: reuse executions of earlier runs on this machine.
    """

    def __init__(
        self,
        conditions: Conditions,
        backend: Backend,
        options: BuildOptions = BuildOptions(),
        use_cache: bool = True,
    ) -> None:
        self.conditions = conditions
        # What is wrong with a model should be known before anything is built.
        code_region = fixed_layout(options.placement, conditions.target, ()).code
        load_cycle_model(conditions.target, code_region)
        load_power(conditions.target, conditions.clock_mhz)
        self._backend = backend
        compiler = options.compiler
        self._toolchain = target_toolchain(compiler.cc, conditions.target, compiler.cflags)
        self._placement = options.placement
        tree = options.tflm_tree
        self._tflm = None if tree is None else open_tflm(tree, conditions.target, self._toolchain, self._placement)
        self._lowering: Lowering = options.lowering if tree is None else "plain"
        self._use_cache = use_cache
        self._environment = self._environment_digest()

    @property
    def runtime(self) -> str:
        """What runs the model on the target, as measurements name it."""
        return self._tflm.identity if self._tflm else OWN_RUNTIME

    @property
    def toolchain(self) -> Toolchain:
        """The compiler that builds the programs."""
        return self._toolchain

    def build(self, graph: Graph) -> Program:
        """Compile a graph with the weights that ship into firmware.

        Raises:
            CapacityError: it does not fit; weights and arena are looked at before anything is compiled.
        """
        return self._build(graph, self._lowering)

    def _build(self, graph: Graph, passes: PassSet) -> Program:
        if self._tflm is not None:
            program = self._tflm.build_program(graph)
        else:
            lowered = lower_graph(graph, self.conditions.target.core, passes=passes)
            self._check_static_fit(lowered)
            reserve = self.conditions.reserve
            program = build_program(
                lowered,
                self.conditions.target,
                self._toolchain,
                placement=self._placement,
                reserved_ram_bytes=reserve.ram_bytes + reserve.workload_ram_bytes,
            )
        check_fit(self._beside(program.memory), self.conditions.target)
        return program

    def run(self, program: Program) -> Execution:
        """Execute a program, golden outputs checked on the target; nothing is taken from the cache."""
        record = self._backend.run(program)
        return Execution(
            key=self.key(record.elf_sha256),
            backend=record.backend,
            toolchain=program.toolchain,
            lowering=self._lowering,
            runtime=program.runtime,
            elf_sha256=record.elf_sha256,
            golden_pairs_checked=record.golden_pairs_checked,
            code_region=program.layout.code,
            layers=program.layers,
            memory=program.memory,
            profile=record.profile,
        )

    def execution(self, identity: str, graph: Callable[[], Graph]) -> Execution:
        """The execution of a graph with seeded weights; built and run only when this machine has not done so before.

        Args:
            identity: canonical text that decides the graph up to its weights.
            graph: makes the graph when it is needed.

        Raises:
            CapacityError: it does not fit.
        """
        key = self.key(identity)
        path = cache_dir("executions", key[:2]) / f"{key}.json"
        execution = read_execution(path, key) if self._use_cache else None
        if execution is None:
            # The weights are not those that will ship: nothing that is built may depend on them.
            passes: PassSet = "weight_independent" if self._lowering == "optimized" else self._lowering
            execution = self.run(self._build(graph(), passes)).model_copy(update={"key": key})
            write_execution(path, execution)
        check_fit(self._beside(execution.memory), self.conditions.target)
        return execution

    def price(self, execution: Execution) -> Measurement:
        """Cycles, time and energy of an execution by today's models."""
        return price(execution, self.conditions)

    def key(self, identity: str) -> str:
        """Cache key of a graph: its identity, and everything else that decides which instructions run."""
        return hashlib.sha256(f"{self._environment}\n{identity}".encode()).hexdigest()

    def _environment_digest(self) -> str:
        target = self.conditions.target
        facts = {
            "schema": [EXECUTION_SCHEMA, PROFILE_SCHEMA],
            "backend": self._backend.identity,
            "toolchain": self._toolchain.identity,
            "flags": [self._toolchain.flags, self._toolchain.link_flags],
            "issue_rules": issue_rules().model_dump(mode="json"),
            "lowering": self._lowering,
            "runtime": self.runtime,
            "placement": self._placement_facts(),
            # One of the user's lies outside of our own sources.
            "board": _digest(path for folder in target.board_folders for path in folder.glob("*.[ch]")),
            "target": target.model_dump(mode="json", exclude={"description", "sources", "supply"}),
        }
        return hashlib.sha256((json.dumps(facts, sort_keys=True) + _source_digest()).encode()).hexdigest()

    def _placement_facts(self) -> dict[str, object]:
        """What decides where the parts lie; the reserve does only where the compiler chooses."""
        reserve = self.conditions.reserve
        kept = reserve.ram_bytes + reserve.workload_ram_bytes if self._placement.has_auto else None
        return {**self._placement.model_dump(), "reserved_ram_bytes": kept}

    def _check_static_fit(self, lowered: Lowered) -> None:
        reserve = self.conditions.reserve
        ram_bytes = reserve.ram_bytes + reserve.workload_ram_bytes
        check_static_fit(lowered, self.conditions.target, reserve.flash_bytes, ram_bytes, self._placement)

    def _beside(self, memory: MemoryReport) -> MemoryReport:
        return _beside(memory, self.conditions.reserve)


@cache
def _source_digest() -> str:
    """Hash of our own sources that decide what is built and how it is counted."""
    package = Path(__file__).resolve().parent
    paths = [path for room in ("backends", "compiler", "emulators") for path in package.joinpath(room).rglob("*.py")]
    paths += [*asset_path("firmware").rglob("*.[ch]*"), *asset_path("emulation", "native").glob("*.[ch]")]
    # Which kernels are built, and how Renode builds its machines.
    paths += asset_path("emulation", "kernels").glob("*.yaml")
    paths += asset_path("emulation", "renode").glob("*.yaml")
    return _digest(paths)


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def price(execution: Execution, conditions: Conditions) -> Measurement:
    """Turn an execution into a measurement with today's cycle and energy models; pure."""
    target = conditions.target
    cycle_model = load_cycle_model(target, execution.code_region)
    cycles = cycle_model.total_cycles(execution.profile)
    latency_ms = cycles.scaled(1e-3 / conditions.clock_mhz)
    power = power_of(execution, conditions, latency_ms)
    cpu_pct = conditions.reserve.cpu_pct
    costs = characterise(latency_ms, power.states, conditions.schedule, reserve_cpu_pct=cpu_pct)
    ranking_cycles = cycle_model.ranking_cycles(execution.profile)
    ranking_ms = ranking_cycles.scaled(1e-3 / conditions.clock_mhz)
    ranking = characterise(ranking_ms, power.states.ranking, conditions.schedule, reserve_cpu_pct=cpu_pct)
    return Measurement(
        target=target.name,
        backend=execution.backend,
        schedule=conditions.schedule.label,
        clock_mhz=conditions.clock_mhz,
        elf_sha256=execution.elf_sha256,
        toolchain=execution.toolchain,
        lowering=execution.lowering,
        runtime=execution.runtime,
        timing_model=cycle_model.identity,
        energy_model=power.model,
        golden_pairs_checked=execution.golden_pairs_checked,
        memory=_beside(execution.memory, conditions.reserve),
        layers=_layer_costs(execution, cycle_model.layer_cycles(execution.profile)),
        instructions=execution.profile.total()["instructions"],
        cycles=cycles,
        ranking_cycles=ranking_cycles,
        latency_ms=latency_ms,
        energy_per_inference_uj=costs.energy_per_inference_uj,
        energy_per_window_uj=costs.energy_per_window_uj,
        ranking_energy_per_inference_uj=ranking.energy_per_inference_uj,
        ranking_energy_per_window_uj=ranking.energy_per_window_uj,
        average_power_uw=costs.average_power_uw,
        duty_cycle=costs.duty_cycle,
        deadline_missed=costs.deadline_missed,
        notes=(*cycle_model.notes(execution.profile), *power.notes, *costs.notes),
    )


def power_of(execution: Execution, conditions: Conditions, latency_ms: Estimate) -> Power:
    """Power by state while a program runs that takes ``latency_ms``, by today's energy model."""
    work = _work(execution, latency_ms)
    return load_power(conditions.target, conditions.clock_mhz, execution.code_region, work)


def _beside(memory: MemoryReport, reserve: Reserve) -> MemoryReport:
    return memory.beside(
        flash_reserve_bytes=reserve.flash_bytes,
        ram_reserve_bytes=reserve.ram_bytes,
        workload_ram_bytes=reserve.workload_ram_bytes,
    )


def _work(execution: Execution, latency_ms: Estimate) -> Work | None:
    """What its power may depend on; None where nothing takes time."""
    macs: Counter[str] = Counter()
    for layer in execution.layers:
        macs[layer.operator] += layer.macs
    return Work(latency_ms.value, execution.profile.total(), macs) if latency_ms.value else None


def _layer_costs(execution: Execution, cycles: list[float]) -> tuple[LayerCost, ...]:
    profiled = zip(execution.profile.layers, cycles, strict=True)
    counted = {profile.index: (profile.counts["instructions"], number) for profile, number in profiled}
    return tuple(
        LayerCost(**layer.model_dump(), instructions=counted[layer.index][0], cycles=counted[layer.index][1])
        for layer in execution.layers
    )


def read_execution(path: Path, key: str) -> Execution | None:
    """A stored execution; None when there is none, or when it was cut short or is of another schema."""
    try:
        execution = Execution.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return execution if execution.schema_version == EXECUTION_SCHEMA and execution.key == key else None


def write_execution(path: Path, execution: Execution) -> None:
    """Store an execution, whole or not at all."""
    write_atomically(path, execution.model_dump_json().encode())
