"""Predicted against silicon cycles, where both come from the same kernels.

STM32F446 at 180 MHz: single layers, cross-validated; then with each kind of layer left out; then with few rows to fit.
STM32L4R5 at 120 MHz: two whole networks with constants from documents, and with one factor. Last, and not comparable,
what other engines take on silicon beside what our code takes in the emulator.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from _figures import options, report
from _silicon import by_half_lines, counts_of, silicon_folder, single_layers, table

from crest.backends.emulated import EmulatedBackend
from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.measurement import Estimate
from crest.placement import AS_TARGET, Placement
from crest.targets import Target, load_target
from crest.timing import load_cycle_model
from crest.timing.fitting import cross_validate, fit_terms, learning_curve, leave_kinds_out, relative_errors
from crest.timing.memory_system import load_memory_timing
from crest.timing.model import load_core_timing

FOLDS = 5
ROWS_TO_FIT = (3, 6, 12, 25, 50, 100)
MEMORY_EVENTS = (
    "load_flash", "flash_load_line_changes", "flash_load_misses", "flash_load_misses_sequential",
    "fetch_lines_sequential", "fetch_lines_branch", "fetch_misses_sequential", "fetch_misses_branch",
)  # fmt: skip
FITTED_BOARD, OTHER_BOARD = "nucleo-f446re", "nucleo-l4r5zi"
# Bosch HALE 1.0.175, MLPerf Tiny v1.2, submitted with weights in flash and, as "max performance", in RAM.
WEIGHTS_IN_RAM = {"nucleo-l4r5zi": "NUCLEO_L4R5ZI_int8", "nucleo-h7a3zi": "NUCLEO_H7A3ZI_int8"}
MODELS = {"kws": "kws_ref_model.tflite", "ad": "ad01_int8.tflite"}


def percentiles(errors: np.ndarray) -> tuple[float, float, float]:
    return tuple(100 * float(value) for value in (np.median(errors), np.percentile(errors, 90), errors.max()))  # type: ignore[return-value]


def single_layer_figures(seed: int, draws: int) -> dict[str, float]:
    shipped = load_memory_timing(load_target(FITTED_BOARD))
    assert shipped is not None
    names = tuple(term.count for term in shipped.terms)
    rows, counts = single_layers(names)
    print(f"STM32F446 at 180 MHz, {len(counts)} single layers; errors in %: median, 90th percentile, largest")
    events, _ = single_layers(MEMORY_EVENTS)
    for label, errors in (
        ("no waits at all (core cycles)", np.abs(rows.core_cycles / rows.measured_cycles - 1)),
        ("events of the memories alone", relative_errors(events, fit_terms(events))),
        ("the shipped terms, all rows fitted", relative_errors(rows, fit_terms(rows))),
        ("shipped coefficients", relative_errors(rows, np.array([term.cycles for term in shipped.terms]))),
    ):
        print(f"  {label:<34}" + "".join(f"{value:8.2f}" for value in percentiles(errors)))
    validation = cross_validate(rows, FOLDS, seed)
    median, p90, largest = percentiles(validation.errors)
    print(f"  {f'cross-validated, {FOLDS} folds':<34}{median:8.2f}{p90:8.2f}{largest:8.2f}")
    print("  cycles of each term (over the folds)")
    for name, value, folds in zip(names, fit_terms(rows), validation.terms.T, strict=True):
        print(f"    {name:<32}{value:8.3f}  [{folds.min():.3f}, {folds.max():.3f}]")
    low, high = np.percentile(validation.ratios, [5, 95])
    print(f"  measured / predicted, 90 % of the layers: {low:.4f} to {high:.4f}")
    print("  share of the instructions (the domain): " + ", ".join(_domain(counts, shipped.domain)))
    print("a kind left out of the fit: median error of that kind in %, layers")
    kinds = {kind: 100 * float(np.median(errors)) for kind, errors in leave_kinds_out(rows).items()}
    for kind, error in kinds.items():
        print(f"  {kind:<34}{error:8.2f}{int((rows.kinds == kind).sum()):8d}")
    print(
        f"so many layers to fit, drawn at random {draws} times: errors of the others in %, median and 90th percentile"
    )
    for size, (middle, upper) in learning_curve(rows, ROWS_TO_FIT, draws, seed).items():
        print(f"  {size:<34}{100 * middle:8.2f}{100 * upper:8.2f}")
    return {
        "f446_median_abs_error_pct": median,
        "f446_p90_abs_error_pct": p90,
        "f446_kind_left_out_median_pct": float(np.median(list(kinds.values()))),
        "f446_kind_left_out_worst_pct": max(kinds.values()),
        "f446_layers": len(counts),
    }


def _domain(counts: list[dict[str, int]], names: Mapping[str, object]) -> list[str]:
    shares = {name: [one[name] / one["instructions"] for one in counts] for name in names}
    return [f"{name} {min(values):.4f} to {max(values):.4f}" for name, values in shares.items()]


def whole_network_figures() -> dict[str, float]:
    """The L4R5: nothing is fitted but, in the last column, one factor on both networks."""
    target = load_target(OTHER_BOARD)
    core, memory = load_core_timing(target.core), load_memory_timing(target)
    assert memory is not None
    rows = table("profiles/open_l4r5.csv")
    silicon = np.array([float(row["silicon_cycles"]) for row in rows])
    counts = [by_half_lines(counts_of(row)) for row in rows]
    bare = np.array([core.cycles(one) for one in counts])
    documents = bare + [memory.waits(one) for one in counts]
    factor = float(np.exp(np.mean(np.log(silicon / documents))))
    stalls = target.fetch_stall_factor.value
    print(f"STM32L4R5 at 120 MHz, whole networks: error in % of the core's cycles, of these times {stalls:g}, with the")
    print(f"documented terms of its memories, and with one factor ({factor:.3f}) fitted on both")
    figures = {}
    predicted = np.array([bare, bare * stalls, documents, documents * factor])
    for row, errors in zip(rows, (100 * (predicted / silicon - 1)).T.tolist(), strict=True):
        print(f"  {row['model']:<34}" + "".join(f"{error:+8.1f}" for error in errors))
        figures[f"l4r5_{row['model']}_documents_error_pct"] = errors[2]
        figures[f"l4r5_{row['model']}_one_factor_error_pct"] = errors[3]
    return figures


def predicted(model: str, target: Target, placement: Placement = AS_TARGET) -> tuple[Estimate, int]:
    """Cycles of our own code for one of the reference networks, and its multiply-accumulates."""
    graph = import_tflite((silicon_folder() / "models" / MODELS[model]).read_bytes(), model)
    lowered = lower_graph(graph, target.core)
    program = build_program(lowered, target, target_toolchain("zig", target), placement=placement)
    cycles = load_cycle_model(target, program.layout.code).total_cycles(EmulatedBackend().run(program).profile)
    return cycles, sum(graph.macs(op) for op in graph.operators)


def weights_in_ram() -> dict[str, float]:
    """What ad gains when its weights lie in RAM: an engine that was measured both ways, and our own by the model."""
    rows = {row["system"]: row for row in table("mlperf/mlperf_tiny_open.csv") if row["benchmark"] == "ad"}
    print(
        "cycles of ad with its weights in RAM over those with them in flash: another engine on silicon, ours predicted"
    )
    figures = {}
    for board, system in WEIGHTS_IN_RAM.items():
        fast, slow = (
            float(rows[name]["latency_ms_median_from_windows"]) for name in (f"{system}_max_performance", system)
        )
        target = load_target(board)
        in_ram, in_flash = (
            predicted("ad", target, placement)[0].value for placement in (Placement(weights="ram"), AS_TARGET)
        )
        assert in_ram is not None and in_flash is not None
        figures[f"{board.split('-')[1]}_ad_weights_in_ram_ratio"] = in_ram / in_flash
        print(f"  {board:<34}{fast / slow:8.2f}{in_ram / in_flash:8.2f}")
    return figures


def league(models: tuple[str, ...]) -> None:
    """Cycles per multiply-accumulate: other engines on silicon, ours in the emulator."""
    target = load_target(OTHER_BOARD)
    print("another code base on each line, not comparable as models of time: cycles per multiply-accumulate of the")
    print(
        f"reference networks on the STM32L4R5 at 120 MHz; ours is predicted for {OTHER_BOARD}, all others are silicon"
    )
    for model in models:
        lines = {
            f"{row['framework'][:44]} ({row['round']})": float(row["cycles_per_ref_mac"])
            for row in table("mlperf/mlperf_tiny_open.csv")
            if "L4R5" in row["board"].upper() and row["benchmark"] == model and row["cycles_per_ref_mac"]
        }
        cycles, macs = predicted(model, target)
        assert cycles.value is not None and cycles.low is not None and cycles.high is not None
        label = f"CREST, predicted [{cycles.low / macs:.2f}, {cycles.high / macs:.2f}]"
        lines[label] = cycles.value / macs
        print(f"  {model}")
        for name, value in sorted(lines.items(), key=lambda item: item[1]):
            print(f"    {name:<56}{value:6.2f}")


def main() -> None:
    chosen = options(__doc__ or "")
    figures = single_layer_figures(chosen.seed, draws=5 if chosen.quick else 50) | whole_network_figures()
    figures |= weights_in_ram()
    league(("ad",) if chosen.quick else ("kws", "ad"))
    report(figures, chosen.json)


if __name__ == "__main__":
    main()
