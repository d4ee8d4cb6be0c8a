"""Rows and cells that the terminal and the HTML report share: the front, memory by owner, layers, costs."""

from __future__ import annotations

from typing import Final, NamedTuple, get_args

from crest.measurement import Measurement, MemoryReport
from crest.report.format import ABSENT, format_estimate, format_interval, format_value
from crest.report.view import Entry, RunView, Status

COSTS: Final = (
    "cycles",
    "latency_ms",
    "energy_per_inference_uj",
    "energy_per_window_uj",
    "average_power_uw",
    "duty_cycle",
)
_COPIED: Final = "code and weights copied from flash"
_LEFT_OUT_WHEN_EMPTY: Final = ("reserve", _COPIED)
_ALWAYS_SHOWN: Final = ("latency_ms", "flash_bytes", "ram_bytes", "energy_per_window_uj")


class MemoryRow(NamedTuple):
    """Bytes of one owner; ``counted`` rows add up to what policies see."""

    memory: str
    owner: str
    size_bytes: int
    counted: bool


class LayerRow(NamedTuple):
    """One layer and its share (0..1) of the cycles of the inference; ``macs`` is None outside of the layers."""

    name: str
    operator: str
    macs: int | None
    instructions: int | None
    cycles: float
    share: float

    @property
    def cycles_per_mac(self) -> float | None:
        """Cycles per multiply-accumulate, where there are any."""
        return self.cycles / self.macs if self.macs else None


def front_columns(view: RunView) -> tuple[str, ...]:
    """Metrics that a front is listed with: the objectives, derived ones, then what every front shows."""
    return tuple(dict.fromkeys([*view.objectives, *view.derived, *_ALWAYS_SHOWN]))


def metric_cell(entry: Entry, name: str) -> str:
    """A metric of an entry, with its interval where it has one."""
    estimate = entry.estimate(name)
    return format_estimate(name, estimate) if estimate is not None else format_value(name, entry.value(name))


def candidate_text(entry: Entry) -> str:
    """Quantization and choices of a candidate on one line."""
    return " ".join([entry.trial.quantization, *(f"{name}={value}" for name, value in entry.candidate.items())])


def counts_text(view: RunView) -> str:
    """How many trials ended how, for example ``7 trials: 3 on the front, 2 dominated, 2 infeasible``."""
    words = {"front": "on the front"}
    parts = [f"{view.counts[status]} {words.get(status, status)}" for status in get_args(Status) if view.counts[status]]
    total = view.counts.total()
    return f"{total} trial{'' if total == 1 else 's'}" + (f": {', '.join(parts)}" if parts else "")


def memory_rows(memory: MemoryReport) -> list[MemoryRow]:
    """Flash and RAM by owner, what does not ship last."""
    rows = [
        MemoryRow("flash", "weights", memory.weights_bytes, True),
        MemoryRow("flash", "code and tables", memory.code_bytes, True),
        MemoryRow("flash", "reserve", memory.flash_reserve_bytes, True),
        MemoryRow("flash", "ships in all", memory.flash_bytes, False),
        MemoryRow("flash", "measuring harness (does not ship)", memory.flash_harness_bytes, False),
        MemoryRow("flash", "measured firmware in all", memory.flash_total_bytes, False),
        MemoryRow("RAM", "arena", memory.arena_bytes, True),
        MemoryRow("RAM", "statics", memory.static_ram_bytes, True),
        MemoryRow("RAM", _COPIED, memory.placed_ram_bytes, True),
        MemoryRow("RAM", "stack", memory.stack_bytes, True),
        MemoryRow("RAM", "workload buffers", memory.workload_ram_bytes, True),
        MemoryRow("RAM", "reserve", memory.ram_reserve_bytes, True),
        MemoryRow("RAM", "ships in all", memory.ram_bytes, False),
        MemoryRow("RAM", "arena, lower bound of any plan", memory.arena_lower_bound_bytes, False),
        MemoryRow("RAM", "measuring harness (does not ship)", memory.ram_harness_bytes, False),
        MemoryRow("RAM", "measured firmware in all", memory.ram_total_bytes, False),
    ]
    used = [use for use in memory.regions if use.used_bytes]
    if len(used) > len(("flash", "RAM")):
        rows += [MemoryRow(use.region, "measured firmware in this region", use.used_bytes, False) for use in used]
    return [row for row in rows if row.size_bytes or row.owner not in _LEFT_OUT_WHEN_EMPTY]


def layer_rows(measurement: Measurement) -> list[LayerRow]:
    """Layers in order of execution, then what the latency window holds outside of them."""
    inside = sum(layer.cycles for layer in measurement.layers)
    total = measurement.cycles.value or inside
    rows = [
        LayerRow(
            layer.name,
            layer.operator,
            layer.macs,
            layer.instructions,
            layer.cycles,
            layer.cycles / total if total else 0.0,
        )
        for layer in measurement.layers
    ]
    rest = total - inside
    if measurement.layers and rest > 0.5:
        rows.append(LayerRow("outside of layers", "", None, None, rest, rest / total))
    return rows


class CostRow(NamedTuple):
    """One cost: value with interval, the interval of what differs between programs of one board, origin."""

    name: str
    text: str
    between_programs: str
    origin: str


def cost_rows(measurement: Measurement) -> list[CostRow]:
    """The costs; the deadline last."""
    rows = []
    for name in COSTS:
        estimate, ranking = getattr(measurement, name), measurement.ranking(name)
        between = ABSENT if ranking is None else format_interval(name, ranking) or ABSENT
        rows.append(CostRow(name, format_estimate(name, estimate), between, estimate.origin))
    rows.append(CostRow("deadline", deadline_text(measurement), ABSENT, ABSENT))
    return rows


def deadline_text(measurement: Measurement) -> str:
    """Whether the deadline of the schedule is met."""
    if measurement.deadline_missed is None:
        return "no deadline" if measurement.schedule == "continuous" else "not known"
    return "missed" if measurement.deadline_missed else "met"
