"""What the MLPerf Tiny models cost on emulated Cortex-M0+, M4 and M7 cores, beside CMSIS-NN in the same emulator.

Cycles are those of the core with memories that never make it wait. Every model is compiled with the default toolchain
and, where arm-none-eabi-gcc is on PATH, with GCC. Random inputs are compared with TFLM's reference kernels on the host
and on all three cores.
"""

from __future__ import annotations

import argparse
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from _compile_time import compile_seconds
from _figures import options, report
from _layers import Costs, add, costs_by_type, show
from _oracle import emulated_mismatches, host_mismatches, tflm_cases
from _reference import NO_M7_CYCLES, SILICON_CYCLES_PER_MAC, TFLM_ARENA_BYTES, TFLM_FLASH_BYTES, better_cmsis_nn

from crest.backends.emulated import EmulatedBackend
from crest.compiler.build import Lowered, build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.program import Program
from crest.compiler.toolchain import target_toolchain
from crest.emulators.profile import ExecutionProfile
from crest.targets import Target, load_target
from crest.timing.model import load_core_timing

MODELS = {
    "kws": "kws_ref_model.tflite",
    "ic": "pretrainedResnet_quant.tflite",
    "ad": "ad01_int8.tflite",
    "vww": "vww_96_int8.tflite",
}
BOARD = load_target("nano33ble")
TARGETS = {
    "m0plus": BOARD.model_copy(update={"core": "cortex-m0plus", "fpu": "none"}),
    "m4": BOARD,
    "m7": BOARD.model_copy(update={"core": "cortex-m7", "fpu": "double"}),
}
M4_ORDER = ("-DCREST_DUAL_ISSUE=0",)
RANDOM_INPUTS = {True: 5, False: 1000}
"""By --quick: how many inputs are compared with the oracle."""

Figures = dict[str, float | None]


def add_models(parser: argparse.ArgumentParser) -> None:
    data = os.environ.get("CREST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--models", type=Path, default=Path(data) / "silicon" / "models", help="folder of the .tflite")


@dataclass(frozen=True)
class Run:
    """A model on a core, as one toolchain compiles it."""

    program: Program
    profile: ExecutionProfile
    costs: Costs

    @property
    def instructions(self) -> int:
        return self.profile.total()["instructions"]

    @property
    def cycles(self) -> float:
        return load_core_timing(self.profile.core).cycles(self.profile.total())


def run(lowered: Lowered, target: Target, toolchain: str, flags: tuple[str, ...] = ()) -> Run:
    program = build_program(lowered, target, target_toolchain(toolchain, target, flags))
    profile = EmulatedBackend().run(program).profile
    return Run(program, profile, costs_by_type(program, profile, load_core_timing(target.core)))


def speed(core: str, name: str, ours: Run, gcc: Run | None) -> Figures:
    """Instructions and cycles of one inference, by both toolchains, and as a part of CMSIS-NN's."""
    instructions, cycles = better_cmsis_nn(core, name)
    figures: Figures = {}
    for label, result in (("", ours), ("gcc_", gcc)):
        figures[f"{core}_{name}_{label}instructions"] = result.instructions if result else None
        figures[f"{core}_{name}_{label}instructions_of_cmsis_nn"] = (
            result.instructions / instructions if result else None
        )
        figures[f"{core}_{name}_{label}cycles"] = result.cycles if result else None
        figures[f"{core}_{name}_{label}cycles_of_cmsis_nn"] = result.cycles / cycles if result and cycles else None
    imported = ours.program.imported
    figures[f"{core}_{name}_cycles_per_mac"] = ours.cycles / sum(imported.macs(op) for op in imported.operators)
    figures[f"{core}_{name}_cycles_per_mac_of_best_silicon"] = SILICON_CYCLES_PER_MAC[core][name]
    return figures


def memory(name: str, program: Program) -> Figures:
    """Bytes of the library on the M4, beside TFLM's there."""
    report = program.memory
    return {
        f"{name}_flash_beyond_weights_bytes": report.code_bytes,
        f"{name}_flash_of_tflm": report.code_bytes / TFLM_FLASH_BYTES[name],
        f"{name}_arena_bytes": report.arena_bytes,
        f"{name}_arena_of_tflm": report.arena_bytes / TFLM_ARENA_BYTES[name],
        f"{name}_arena_of_lower_bound": report.arena_bytes / report.arena_lower_bound_bytes,
        f"{name}_stack_bytes": report.stack_bytes,
    }


def compile_time(model: bytes, seed: int) -> Figures:
    seconds = compile_seconds(model, BOARD, seed)
    print("a new candidate (kws, warm): " + ", ".join(f"{stage} {s * 1e3:.0f} ms" for stage, s in seconds.items()))
    return {"compile_seconds_warm": seconds["total"]}


def main() -> None:
    arguments = options(__doc__ or "", add_models)
    missing = [file for file in MODELS.values() if not (arguments.models / file).is_file()]
    if missing:
        print(f"skipped: {', '.join(missing)} not in {arguments.models}; say --models DIR or set CREST_DATA")
        return
    print(f"M0+ and M7: the memories and peripherals of the {BOARD.name}, with another core and its compiler flags")
    print(f"M7: {NO_M7_CYCLES}")
    figures: Figures = {}
    has_gcc = shutil.which("arm-none-eabi-gcc") is not None
    pooled: dict[str, Costs] = {core: {} for core in TARGETS}
    pooled_gcc: dict[str, Costs] = {core: {} for core in TARGETS}
    inputs, wrong = RANDOM_INPUTS[arguments.quick], 0
    compared = True
    for name, file in MODELS.items():
        model = (arguments.models / file).read_bytes()
        graph = import_tflite(model, name)
        cases = tflm_cases(model, graph.tensors[graph.inputs[0]].shape, inputs, arguments.seed)
        compared &= cases is not None
        for core, target in TARGETS.items():
            lowered = lower_graph(graph, target.core)
            ours = run(lowered, target, "zig")
            gcc = run(lowered, target, "gcc") if has_gcc else None
            show(core, f"{name} on {target.core}", ours.costs, gcc.costs if gcc else {})
            add(pooled[core], ours.costs)
            add(pooled_gcc[core], gcc.costs if gcc else {})
            figures |= speed(core, name, ours, gcc)
            figures |= memory(name, ours.program) if core == "m4" else {}
            if core == "m7":
                figures[f"m7_{name}_cycles_in_m4_order"] = run(lowered, target, "zig", M4_ORDER).cycles
            if cases:
                wrong += host_mismatches(lowered, cases) + emulated_mismatches(ours.program, cases)
    for core, target in TARGETS.items():
        show(core, f"all models on {target.core}", pooled[core], pooled_gcc[core])
    figures |= compile_time((arguments.models / MODELS["kws"]).read_bytes(), arguments.seed)
    figures["inputs_per_model_and_machine"] = inputs
    figures["mismatches"] = wrong if compared else None
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
