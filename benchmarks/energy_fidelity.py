"""Predicted against published energy of whole networks, with intervals, and next to the trivial model.

Every energy row of MLPerf Tiny on the chips of our targets, at the published latency: by the currents of all other
systems of the board (set-up unknown), and by the other networks of the same system (calibrated). The trivial model is
the mean current of the board, or of the system, times supply and latency. Then with our own cycle prediction where the
kernels are comparable; last, apart, chips of which no target exists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
from _energy_runs import PublishedRun, published_runs
from _figures import options, report
from _silicon import by_half_lines, counts_of, table

from crest.energy import Work, load_energy_models
from crest.energy.conformal import coverage_bounds, relative_error
from crest.energy.fitting import Run, by_system, fit_currents, leave_programs_out, leave_systems_out
from crest.intervals import RelativeError
from crest.targets import load_target
from crest.timing.memory_system import load_memory_timing
from crest.timing.model import load_core_timing

COVERAGE = 0.9
# The kernels of profiles/open_l4r5.csv, and the board whose cycle model prices them.
COMPARABLE, COMPARABLE_TARGET = "v1.0 OctoML microtvm_cmsis_nn/NUCLEO_L4R5ZI", "nucleo-l4r5zi"
LeaveOut = Callable[[Sequence[Run]], dict[Run, float]]
Figures = dict[str, float | None]


def trivial_systems_out(runs: Sequence[Run]) -> dict[Run, float]:
    """True / predicted by the mean current of the board's other systems."""
    return _by_mean(runs, lambda run, other: other.board == run.board and other.system != run.system)


def trivial_programs_out(runs: Sequence[Run]) -> dict[Run, float]:
    """True / predicted by the mean current of the system's other networks."""
    return _by_mean(runs, lambda run, other: other.system == run.system and other.program != run.program)


def _by_mean(runs: Sequence[Run], chosen: Callable[[Run, Run], bool]) -> dict[Run, float]:
    known = {run: [other.current_ma for other in runs if chosen(run, other)] for run in runs}
    return {run: run.current_ma / fmean(currents) for run, currents in known.items() if currents}


@dataclass(frozen=True)
class Judgement:
    """What leaving out gave: true / predicted, and the interval that did not see the run's own system."""

    ratios: Mapping[Run, float]
    intervals: Mapping[Run, RelativeError]

    def __bool__(self) -> bool:
        return bool(self.ratios)

    @property
    def errors_pct(self) -> np.ndarray:
        return 100 * np.abs(1 / np.array(list(self.ratios.values())) - 1)

    @property
    def covered(self) -> list[bool]:
        return [error.low <= self.ratios[run] <= error.high for run, error in self.intervals.items()]

    def cell(self, run: Run) -> str:
        if run not in self.ratios:
            return "-"
        error_pct = 100 * (1 / self.ratios[run] - 1)
        return f"{error_pct:+.1f} {span(self.intervals[run])}" if run in self.intervals else f"{error_pct:+.1f}"

    def figures(self, name: str) -> Figures:
        covered, total = sum(self.covered), len(self.covered)
        low, high = coverage_bounds(covered, total) if total else (None, None)
        return {
            f"{name}_median_abs_error_pct": float(median(self.errors_pct)),
            f"{name}_p90_abs_error_pct": float(np.percentile(self.errors_pct, 90)),
            f"{name}_rows": len(self.ratios),
            f"{name}_coverage_90_pct": 100 * covered / total if total else None,
            f"{name}_coverage_low_pct": None if low is None else 100 * low,
            f"{name}_coverage_high_pct": None if high is None else 100 * high,
            f"{name}_interval_width_pct": 100 * median(e.high - e.low for e in self.intervals.values())
            if total
            else None,
        }


def span(error: RelativeError) -> str:
    return f"[{error.low:.2f}, {error.high:.2f}]"


def judge(runs: Sequence[Run], leave_out: LeaveOut) -> Judgement:
    """Leave out, and nest it: a system's interval is from the errors of the others under fits that have not seen it."""
    ratios = leave_out(runs)
    intervals: dict[Run, RelativeError] = {}
    for system in {run.system for run in runs}:
        rest = [run for run in runs if run.system != system]
        interval = relative_error(by_system(leave_out(rest)), COVERAGE, "nested")
        intervals |= {run: interval for run in ratios if run.system == system and interval is not None}
    return Judgement(ratios, intervals)


def coefficients(runs: Sequence[Run]) -> None:
    """What the energy models hold: the fit, how far it moves when a system is left out, and the two errors."""
    fit = fit_currents(runs)
    systems = sorted({run.system for run in runs})
    moved = [fit_currents([run for run in runs if run.system != system]) for system in systems]
    print(f"fitted on {len(runs)} runs of {len(systems)} systems; in brackets: one system left out at a time")
    for board, current in fit.current_ma.items():
        ends = [other.current_ma[board] for other in moved if board in other.current_ma]
        count = len({run.system for run in runs if run.board == board})
        print(f"  {board:<40}{current:8.3f} mA [{min(ends):.3f}, {max(ends):.3f}], {count} systems")
    factors = [other.dense_factor for other in moved]
    print(f"  {'dense layers':<40}{fit.dense_factor:8.3f}    [{min(factors):.3f}, {max(factors):.3f}]")
    for name, leave_out in (
        ("power error, set-up unknown", leave_systems_out),
        ("candidate error", leave_programs_out),
    ):
        error = relative_error(by_system(leave_out(runs)), COVERAGE, name)
        print(f"  {name:<40}{'too few systems' if error is None else span(error)}")


def shipped(published: Sequence[PublishedRun]) -> Judgement:
    """True / predicted by the energy models that ship, with their own intervals; they are fitted on published rows."""
    ratios: dict[Run, float] = {}
    intervals: dict[Run, RelativeError] = {}
    for one in published:
        if one.target is None:
            continue
        rails = [model for model in load_energy_models(one.target) if model.boundary == "mcu_rail"]
        for model in rails:
            if not model.conditions.hold_at(one.volt, one.regulator) or one.clock_mhz not in one.target.clock_mhz:
                continue
            work = Work(one.latency_ms, {}, one.macs)
            power = model.states(one.clock_mhz, one.target.code_region, one.volt, work).run_power_uw
            assert power.value and power.low and power.high and power.confidence
            ratios[one.run] = one.energy_uj / (power.value * one.latency_ms * 1e-3)
            low, high = power.low / power.value, power.high / power.value
            intervals[one.run] = RelativeError(low=low, high=high, confidence=power.confidence, reason=model.identity)
    return Judgement(ratios, intervals)


def compare(published: Sequence[PublishedRun]) -> Figures:
    """All rows, by every way to leave out."""
    runs = [one.run for one in published]
    judged = {
        "loso": judge(runs, leave_systems_out),
        "lomo": judge(runs, leave_programs_out),
        "trivial_loso": judge(runs, trivial_systems_out),
        "trivial_lomo": judge(runs, trivial_programs_out),
    }
    if in_energy_models := shipped(published):
        judged["shipped"] = in_energy_models
    print("published energy in uJ; error in % and 90 % interval of true / predicted, leaving out the system (loso) and")
    print("the network (lomo), ours and trivial; '-': no other system, or no other network of it, to predict from;")
    print("shipped: by energy_models/, which are fitted on published rows")
    print(f"  {'':<58}{'uJ':>8}" + "".join(f"{name:>20}" for name in judged))
    for one in published:
        cells = "".join(f"{judgement.cell(one.run):>20}" for judgement in judged.values())
        print(f"  {one.label:<58}{one.energy_uj:8.1f}{cells}")
    figures: Figures = {}
    for name, judgement in judged.items():
        figures |= judgement.figures(name)
    return figures


def with_own_cycles(published: Sequence[PublishedRun]) -> Figures:
    """Energy from predicted cycles and the current of all other systems, where the kernels were profiled."""
    target = load_target(COMPARABLE_TARGET)
    core, memory = load_core_timing(target.core), load_memory_timing(target)
    assert memory is not None
    runs = [one.run for one in published]
    power = judge(runs, leave_systems_out)
    counts = {row["model"]: by_half_lines(counts_of(row)) for row in table("profiles/open_l4r5.csv")}
    print("with our own cycles in place of the published latency (comparable kernels only): error in %, interval")
    ratios: dict[Run, float] = {}
    intervals: dict[Run, RelativeError] = {}
    for one in published:
        if one.run.system != COMPARABLE or one.run.program not in counts or one.run not in power.intervals:
            continue
        cycles = core.cycles(counts[one.run.program]) + memory.waits(counts[one.run.program])
        ratios[one.run] = power.ratios[one.run] * one.latency_ms / (cycles * 1e-3 / one.clock_mhz)
        errors = (power.intervals[one.run], memory.candidate_error, memory.common_error)
        low, high = (float(np.prod([getattr(error, end) for error in errors])) for end in ("low", "high"))
        intervals[one.run] = RelativeError(low=low, high=high, confidence=COVERAGE, reason="power and cycles together")
        print(f"  {one.label:<58}{one.energy_uj:8.1f}{Judgement(ratios, intervals).cell(one.run):>20}")
    return Judgement(ratios, intervals).figures("own_cycles") if ratios else {}


def main() -> None:
    chosen = options(__doc__ or "")
    every = published_runs()
    published = [one for one in every if one.target is not None]
    coefficients([one.run for one in published])
    figures = compare(published)
    figures |= with_own_cycles(published)
    figures |= {"coverage_90_pct": figures["loso_coverage_90_pct"], "rows": len(published)}
    others = [one for one in every if one.target is None]
    if others and not chosen.quick:
        print(f"chips without a target, apart ({', '.join(sorted({one.core for one in others}))})")
        figures |= {f"without_target_{name}": value for name, value in compare(others).items()}
    report(figures, chosen.json)


if __name__ == "__main__":
    main()
