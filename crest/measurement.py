"""The words everybody speaks about results: estimates with an origin and an interval, memory, layers, a measurement."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from crest.frozen import Frozen
from crest.placement import PARTS

MEASUREMENT_SCHEMA = 1

Origin = Literal["emulated", "measured", "estimated"]
Boundary = Literal["mcu_rail", "whole_board"]
"""What a power is measured around: the rail of the microcontroller, or the whole board."""
Lowering = Literal["optimized", "plain"]
"""How a model becomes firmware: with the compiler's graph passes, or as it was exported."""


class Estimate(Frozen):
    """One number: where it comes from and how far it can be trusted.

    ``value`` is None only with a ``reason``. ``low`` and ``high`` bound it at the given ``confidence``
    (0..1); they are None for exact counts.
    """

    value: float | None
    origin: Origin
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Estimate:
        if self.value is None and not self.reason:
            raise ValueError("an absent value needs a reason")
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has two ends")
        known = self.low is not None and self.high is not None and self.value is not None
        if known and not self.low <= self.value <= self.high:  # type: ignore[operator]
            raise ValueError(f"value {self.value} lies outside its interval [{self.low}, {self.high}]")
        return self

    @classmethod
    def absent(cls, reason: str, origin: Origin = "estimated") -> Estimate:
        """An estimate that cannot be given, and why."""
        return cls(value=None, origin=origin, reason=reason)

    @property
    def exact(self) -> Estimate:
        """This estimate without its interval."""
        return self.model_copy(update={"low": None, "high": None, "confidence": None})

    def scaled(self, factor: float) -> Estimate:
        """This estimate in another unit or over another count (``factor`` > 0)."""
        if factor <= 0:
            raise ValueError("factor must be positive")
        return self.model_copy(
            update={
                name: None if (number := getattr(self, name)) is None else number * factor
                for name in ("value", "low", "high")
            }
        )


class RegionUse(Frozen):
    """Bytes of a memory region that the measured firmware uses, and those of the model's parts among them."""

    region: str
    used_bytes: int
    code_bytes: int
    weights_bytes: int
    arena_bytes: int


class MemoryReport(Frozen):
    """Bytes in flash and RAM of what ships, by owner.

    ``flash_bytes`` and ``ram_bytes`` are what the policies see: they hold the model library, the buffers of the
    workload and the reserve of the study. The measuring harness (protocol, board start-up) does not ship and is
    listed apart. Code and weights that do not lie in flash are stored there and count in both (``placed_ram_bytes``).
    ``regions`` tells what each memory holds while the firmware runs.
    """

    weights_bytes: int
    code_bytes: int
    flash_reserve_bytes: int = 0
    flash_harness_bytes: int
    flash_total_bytes: int
    arena_bytes: int
    arena_lower_bound_bytes: int
    static_ram_bytes: int
    placed_ram_bytes: int = 0
    stack_bytes: int
    workload_ram_bytes: int = 0
    ram_reserve_bytes: int = 0
    ram_harness_bytes: int
    ram_total_bytes: int
    regions: tuple[RegionUse, ...] = ()

    def beside(self, *, flash_reserve_bytes: int, ram_reserve_bytes: int, workload_ram_bytes: int) -> MemoryReport:
        """This report with what the application around the model needs."""
        return self.model_copy(
            update={
                "flash_reserve_bytes": flash_reserve_bytes,
                "ram_reserve_bytes": ram_reserve_bytes,
                "workload_ram_bytes": workload_ram_bytes,
            }
        )

    @property
    def flash_bytes(self) -> int:
        """Flash of what ships: library code, tables and weights, plus the reserve."""
        return self.weights_bytes + self.code_bytes + self.flash_reserve_bytes

    @property
    def ram_bytes(self) -> int:
        """RAM of what ships: arena, statics, placed code and weights, stack, workload buffers, plus the reserve."""
        return (
            self.arena_bytes
            + self.static_ram_bytes
            + self.placed_ram_bytes
            + self.stack_bytes
            + self.workload_ram_bytes
            + self.ram_reserve_bytes
        )


class LayerCost(Frozen):
    """What one layer costs in one inference."""

    index: int
    name: str
    operator: str
    macs: int
    instructions: int
    cycles: float


class Measurement(Frozen):
    """What a program costs on a target under a schedule.

    ``ranking_cycles`` and ``ranking_energy_*`` are the same figures with the interval of what differs from one program
    of the board to the next: what candidates of one search are told apart by.
    """

    schema_version: int = MEASUREMENT_SCHEMA
    target: str
    backend: str
    schedule: str
    clock_mhz: float
    elf_sha256: str
    toolchain: str
    lowering: Lowering = "optimized"
    runtime: str = "crest"
    timing_model: str
    energy_model: str
    golden_pairs_checked: int
    memory: MemoryReport
    layers: tuple[LayerCost, ...]
    instructions: int
    cycles: Estimate
    ranking_cycles: Estimate | None = None
    latency_ms: Estimate
    energy_per_inference_uj: Estimate
    energy_per_window_uj: Estimate
    ranking_energy_per_inference_uj: Estimate | None = None
    ranking_energy_per_window_uj: Estimate | None = None
    average_power_uw: Estimate
    duty_cycle: Estimate
    deadline_missed: bool | None
    notes: tuple[str, ...] = ()

    def ranking(self, name: str) -> Estimate | None:
        """A cost with the interval of what differs between programs of the board; None where it is not told apart."""
        if name == "latency_ms" and self.ranking_cycles is not None:
            return self.ranking_cycles.scaled(1e-3 / self.clock_mhz)
        found = getattr(self, f"ranking_{name}", None)
        return found if isinstance(found, Estimate) else None

    @property
    def placement(self) -> str:
        """Memory regions by part, for example ``code flash, weights flash, arena ram``."""
        parts = []
        for part in PARTS:
            regions = [use.region for use in self.memory.regions if getattr(use, f"{part}_bytes")]
            parts.append(f"{part} {' and '.join(regions)}" if regions else "")
        return ", ".join(filter(None, parts))

    def metrics(self) -> dict[str, float]:
        """Every recorded metric by the name that policies use; absent ones are left out."""
        named: dict[str, float] = {
            "flash_bytes": float(self.memory.flash_bytes),
            "ram_bytes": float(self.memory.ram_bytes),
            "arena_bytes": float(self.memory.arena_bytes),
            "arena_lower_bound_bytes": float(self.memory.arena_lower_bound_bytes),
            "weights_bytes": float(self.memory.weights_bytes),
            "instructions": float(self.instructions),
        }
        for name in (
            "cycles",
            "latency_ms",
            "energy_per_inference_uj",
            "energy_per_window_uj",
            "average_power_uw",
            "duty_cycle",
        ):
            value = getattr(self, name).value
            if value is not None:
                named[name] = value
        return named
