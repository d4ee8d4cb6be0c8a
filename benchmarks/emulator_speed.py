"""What profiling costs: inferences on emulated Cortex-M0+, M4 and M7 cores, beside the same inferences without hooks.

CPU time of one process, least of several interleaved repeats. `hook`: blocks and branches are counted. `memory_hook`:
every access to memory is, too, and caches and flash lines are simulated. `sampled`: a whole measurement as a backend
makes it, translation of the code included: as many inferences as there are golden inputs with blocks counted, one more
with accesses. Its cycles are compared with those of all golden inputs simulated. Networks run in the memories of one
board, behind the caches of another for each core: RP2040, STM32F446, STM32H7A3. Headline figures are those of the M4.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from _figures import options, report
from rich.console import Console
from rich.table import Table
from unicorn import arm_const
from unicorn.unicorn_py3 import unicorn as binding

from crest.backends.emulated import MachineTransport
from crest.backends.session import Session, open_session
from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.program import Program
from crest.compiler.toolchain import target_toolchain
from crest.emulators.base import LAYER_MARK_SYMBOL, MARK_WINDOW_CLOSE, MARK_WINDOW_OPEN
from crest.emulators.elf import read_elf
from crest.emulators.registry import load_engine
from crest.emulators.unicorn_engine import UnicornEngine, UnicornMachine
from crest.errors import CrestError
from crest.targets import Target, load_target
from crest.timing.memory_system import load_memory_timing
from crest.timing.model import load_core_timing

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.model_writer import ModelWriter  # noqa: E402

MODELS = {
    "kws": "kws_ref_model.tflite",
    "ad": "ad01_int8.tflite",
    "ic": "pretrainedResnet_quant.tflite",
    "vww": "vww_96_int8.tflite",
}
QUICK_MODELS = ("kws", "ad")
REPEATS = {True: 3, False: 7}
"""By --quick."""
BOARD = load_target("nano33ble")
CACHES_OF = {"m0plus": "rp2040-pico", "m4": "nucleo-f446re", "m7": "nucleo-h7a3zi"}
BOARDS = {core: load_target(name) for core, name in CACHES_OF.items()}
TARGETS = {
    core: BOARD.model_copy(update={"core": board.core, "fpu": board.fpu, "memory_geometry": board.memory_geometry})
    for core, board in BOARDS.items()
}
MEMORIES = {board.core: load_memory_timing(board) for board in BOARDS.values()}
HEADLINE = "m4"
WINDOW = ((LAYER_MARK_SYMBOL, MARK_WINDOW_OPEN), ("model_run", 0), (LAYER_MARK_SYMBOL, MARK_WINDOW_CLOSE))
"""Functions that make an inference, and their arguments."""

Figures = dict[str, float | None]


@dataclass
class Timing:
    """One network on one core: instructions of an inference, least CPU seconds by mode."""

    instructions: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    sampled_cycles_off_pct: float = 0.0
    renode_seconds: float | None = None

    def note(self, mode: str, seconds: float) -> None:
        self.seconds[mode] = min(seconds, self.seconds.get(mode, seconds))


def add_models(parser: argparse.ArgumentParser) -> None:
    data = os.environ.get("CREST_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--models", type=Path, default=Path(data) / "silicon" / "models", help="folder of the .tflite")


def networks(arguments: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    """The MLPerf Tiny models; generated ones without them."""
    names = QUICK_MODELS if arguments.quick else tuple(MODELS)
    if all((arguments.models / MODELS[name]).is_file() for name in names):
        for name in names:
            yield name, (arguments.models / MODELS[name]).read_bytes()
        return
    print(f"{arguments.models} does not hold the MLPerf Tiny models: generated networks instead")
    for number in range(len(names)):
        yield f"generated {number}", generated(np.random.default_rng([arguments.seed, number]))


def generated(rng: np.random.Generator) -> bytes:
    """Some convolutions over an image."""
    writer = ModelWriter(rng)
    source = x = writer.activation((1, 24, 20, 3))
    for _ in range(2):
        x = writer.conv(x, int(rng.integers(12, 25)), kernel=(3, 3), activation="relu")
        x = writer.conv(writer.depthwise(x, same=True), int(rng.integers(12, 33)), activation="relu")
    return writer.model([source], [writer.dense(writer.mean(x), 10)])


class Run:
    """A machine at rest, whose functions can be called: the UART needs the hook, an inference does not."""

    def __init__(self, program: Program, hooked: bool = True) -> None:
        self._program = program
        self.machine: UnicornMachine = UnicornEngine().boot(program.elf, program.target)
        self._symbols = read_elf(program.elf, program.target).symbols
        self._session: Session = open_session(MachineTransport(self.machine), program)
        self._uc = self.machine._uc
        self._rest = program.target.flash.end - 16  # erased: functions return there, and nothing runs
        self.load(0)
        if not hooked:
            binding.uclib.uc_hook_del(self._uc._uch, self.machine._hooks.block_hook)

    def load(self, number: int) -> None:
        """Run an inference of a golden input as the host asks for it."""
        self._session.load(self._program.golden[number].inputs)
        self._session.run()

    def forget(self) -> None:
        """Make the machine translate its code anew; an empty run takes deleted hooks off their list."""
        self._uc.emu_start(self._rest | 1, self._rest)
        self._uc.ctl_flush_tb()

    def infer(self) -> float:
        """CPU seconds of a latency window."""
        start = time.process_time()
        for function, argument in WINDOW:
            self._uc.reg_write(arm_const.UC_ARM_REG_LR, self._rest | 1)
            self._uc.reg_write(arm_const.UC_ARM_REG_R0, argument)
            self._uc.emu_start(self._symbols[function] | 1, self._rest)
        return time.process_time() - start

    def count_memory(self) -> float:
        """CPU seconds of switching it on."""
        start = time.process_time()
        self.machine.count_memory(True)
        return time.process_time() - start

    def cycles(self) -> float:
        profile = self.machine.profile()
        memories, counts = MEMORIES[self._program.target.core], profile.total()
        return load_core_timing(profile.core).cycles(counts) + (memories.waits(counts) if memories else 0)


def warm(runs: dict[str, Run], timing: Timing, repeats: int) -> None:
    """Inferences of machines that have translated their code."""
    for run in runs.values():
        run.infer()
    for _ in range(repeats):
        for mode, run in runs.items():
            timing.note(mode, run.infer())


def measurements(program: Program, timing: Timing, repeats: int) -> None:
    """As many inferences as there are golden inputs and one more, by machines that have translated nothing."""
    for _ in range(repeats):
        for mode in ("bare_measurement", "sampled"):
            run = Run(program, hooked=mode == "sampled")
            run.forget()
            total = sum(run.infer() for _ in program.golden)
            if mode == "sampled":
                total += run.count_memory()
            timing.note(mode, total + run.infer())
            run.machine.close()


def sampling_error_pct(program: Program) -> float:
    """Cycles of the sampled inference beside the mean over all inputs with every access simulated."""
    run = Run(program)
    run.count_memory()
    cycles = []
    for number in range(len(program.golden)):
        run.load(number)
        cycles.append(run.cycles())
    run.machine.close()
    return float(100 * abs(cycles[-1] / np.mean(cycles) - 1))


def renode_seconds(program: Program) -> float | None:
    """Wall seconds of an inference in Renode; None where it is absent or does not know the board with this core."""
    try:
        machine = load_engine("renode").boot(program.elf, program.target)
        try:
            session = open_session(MachineTransport(machine), program)
            session.load(program.golden[0].inputs)
            session.run()
            start = time.perf_counter()
            session.run()
            return time.perf_counter() - start
        finally:
            machine.close()
    except CrestError as error:
        print(f"no ratio to Renode: {error}")
        return None


def measure(model: bytes, name: str, target: Target, repeats: int) -> Timing:
    lowered = lower_graph(import_tflite(model, name), target.core)
    program = build_program(lowered, target, target_toolchain("zig", target))
    timing = Timing()
    runs = {"bare": Run(program, hooked=False), "hook": Run(program), "memory_hook": Run(program)}
    runs["bare"].forget()
    runs["memory_hook"].count_memory()
    warm(runs, timing, repeats)
    timing.instructions = runs["hook"].machine.profile().total()["instructions"]
    for run in runs.values():
        run.machine.close()
    measurements(program, timing, repeats)
    timing.sampled_cycles_off_pct = sampling_error_pct(program)
    timing.renode_seconds = renode_seconds(program)
    return timing


def ratios(timings: list[Timing]) -> Figures:
    """Of times summed over the networks."""

    def total(mode: str) -> float:
        return sum(timing.seconds[mode] for timing in timings)

    renode = [timing.renode_seconds for timing in timings if timing.renode_seconds is not None]
    return {
        "hook_slowdown": total("hook") / total("bare"),
        "memory_hook_slowdown": total("memory_hook") / total("bare"),
        "sampled_slowdown": total("sampled") / total("bare_measurement"),
        "sampled_cycles_off_pct": max(timing.sampled_cycles_off_pct for timing in timings),
        "mips_profiled": sum(timing.instructions for timing in timings) / total("hook") / 1e6,
        "ratio_to_renode": sum(renode) / total("hook") if len(renode) == len(timings) else None,
    }


def show(core: str, timings: dict[str, Timing]) -> None:
    table = Table(title=f"{TARGETS[core].core}: CPU time of an inference and a measurement over those without hooks")
    for heading in (
        "network",
        "instructions",
        "bare ms",
        "MIPS",
        "hook",
        "MIPS",
        "memory hook",
        "sampled",
        "cycles off %",
    ):
        table.add_column(heading, justify="right")
    rows = {name: ([timing], ratios([timing])) for name, timing in timings.items()}
    rows["all"] = (list(timings.values()), ratios(list(timings.values())))
    for name, (members, figures) in rows.items():
        instructions = sum(timing.instructions for timing in members)
        bare = sum(timing.seconds["bare"] for timing in members)
        numbers = [bare * 1e3, instructions / bare / 1e6, figures["hook_slowdown"], figures["mips_profiled"]]
        numbers += [figures[key] for key in ("memory_hook_slowdown", "sampled_slowdown", "sampled_cycles_off_pct")]
        table.add_row(name, f"{instructions:,}", *(f"{number:.2f}" for number in numbers))
    Console(width=130).print(table)


def main() -> None:
    arguments = options(__doc__ or "", add_models)
    figures: Figures = {}
    models = list(networks(arguments))
    for core, target in TARGETS.items():
        timings = {name: measure(model, name, target, REPEATS[arguments.quick]) for name, model in models}
        show(core, timings)
        found = ratios(list(timings.values()))
        figures |= {f"{core}_{name}": value for name, value in found.items()}
        if core == HEADLINE:
            figures = found | figures
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
