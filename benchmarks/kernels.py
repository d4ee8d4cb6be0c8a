"""What the MLPerf Tiny models cost on an emulated Cortex-M4, by layer type, beside CMSIS-NN in the same emulator.

Cycles are those of the core with memories that never make it wait. The reference figures are executed instructions and
such cycles of CMSIS-NN 99f736a (July 2026), called directly, without an interpreter: the better of arm-none-eabi-gcc
12.2 and clang (zig 0.17.1), both with -O2. Their cycles come from a table that differs little from this project's: a
load takes 2, directly behind a load 1, a taken branch 3.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from _figures import options, report
from rich.console import Console
from rich.table import Table

from crest.backends.emulated import EmulatedBackend
from crest.compiler.build import lower_graph
from crest.compiler.graph import Graph
from crest.compiler.host import HostModel
from crest.compiler.importer import import_tflite
from crest.pricing import Conditions, Execution, Pricing, Reserve
from crest.schedule import Continuous
from crest.targets import load_target
from crest.timing.model import CoreTiming, load_core_timing

MODELS = {
    "kws": "kws_ref_model.tflite",
    "ic": "pretrainedResnet_quant.tflite",
    "ad": "ad01_int8.tflite",
    "vww": "vww_96_int8.tflite",
}
# (instructions, cycles) of a whole inference; GCC is the better compiler for all four on this core.
CMSIS_NN = {
    "kws": (7_573_997, 9_134_983),
    "ic": (29_775_043, 36_640_223),
    "ad": (579_844, 720_634),
    "vww": (23_766_391, 28_983_203),
}
# (instructions, cycles) per multiply-accumulate (per element for ADD, pools and softmax), the four models pooled.
CMSIS_NN_BY_TYPE = {
    "conv, 1 input channel": (3.49, 4.51),
    "conv, 3 input channels": (5.48, 7.28),
    "conv": (2.07, 2.53),
    "pointwise, < 64 channels": (3.70, 4.46),
    "pointwise": (1.93, 2.31),
    "pointwise, stride 2": (3.69, 4.57),
    "DEPTHWISE_CONV_2D": (7.90, 9.43),
    "FULLY_CONNECTED": (2.20, 2.73),
    "ADD": (79.20, 96.96),
    "AVERAGE_POOL_2D": (6.57, 9.83),
    "SOFTMAX": (251.21, 299.71),
}
RANDOM_INPUTS = {True: 20, False: 1000}
"""By --quick: how many inputs are compared with the oracle."""


def add_models(parser: argparse.ArgumentParser) -> None:
    data = os.environ.get("CREST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--models", type=Path, default=Path(data) / "silicon" / "models", help="folder of the .tflite")


def layer_type(graph: Graph, index: int) -> str:
    op = graph.operators[index]
    if op.kind != "CONV_2D":
        return op.kind
    _, k_h, k_w, channels = graph.tensors[op.inputs[1]].shape
    if k_h == k_w == 1:
        if max(op.attributes["strides"]) > 1:
            return "pointwise, stride 2"
        return "pointwise" if channels >= 64 else "pointwise, < 64 channels"
    return {1: "conv, 1 input channel", 3: "conv, 3 input channels"}.get(channels, "conv")


def mismatches(graph: Graph, model: bytes, count: int, seed: int) -> int | None:
    """Random inputs on which the host build and TFLM's reference kernels differ; None without the oracle."""
    try:
        from tflite_micro import runtime
    except ImportError:
        return None
    lowered = lower_graph(graph)
    oracle = runtime.Interpreter.from_bytes(model, arena_size=1 << 20)
    rng = np.random.default_rng(seed)
    wrong = 0
    with HostModel(lowered.graph, lowered.sources) as host:
        for _ in range(count):
            x = rng.integers(-128, 128, graph.tensors[graph.inputs[0]].shape, dtype=np.int8)
            oracle.set_input(x, 0)
            oracle.invoke()
            wrong += host.run_bytes(x.tobytes()) != oracle.get_output(0).tobytes()
    return wrong


Costs = dict[str, list[float]]


def add_layers(graph: Graph, execution: Execution, timing: CoreTiming, costs: Costs) -> None:
    """Sum work, instructions and cycles by layer type."""
    counts = {layer.index: layer.counts for layer in execution.profile.layers}
    for layer in execution.layers:
        op = graph.operators[layer.index]
        window = int(np.prod(op.attributes.get("kernel", (1, 1))))
        work = layer.macs or graph.tensors[op.outputs[0]].elements * window
        cost = costs[layer_type(graph, layer.index)]
        for position, value in enumerate(
            (work, counts[layer.index]["instructions"], timing.cycles(counts[layer.index]))
        ):
            cost[position] += value


def show(title: str, costs: Costs) -> None:
    table = Table(title=title)
    table.add_column("layer type")
    for name in ("MACs", "instructions", "per MAC", "CMSIS-NN", "cycles per MAC", "CMSIS-NN", "ratio of cycles"):
        table.add_column(name, justify="right")
    for kind, (work, instructions, cycles) in costs.items():
        reference = CMSIS_NN_BY_TYPE.get(kind)
        theirs = [f"{number:.2f}" for number in reference] if reference else ["-", "-"]
        ratio = f"{cycles / work / reference[1]:.2f}" if reference else "-"
        row = (f"{work:,.0f}", f"{instructions:,.0f}", f"{instructions / work:.2f}", theirs[0])
        table.add_row(kind, *row, f"{cycles / work:.2f}", theirs[1], ratio)
    Console(width=120).print(table)


def measure(name: str, model: bytes, pricing: Pricing, pooled: Costs) -> dict[str, float]:
    program = pricing.build(import_tflite(model, name))
    execution = pricing.run(program)
    timing = load_core_timing(pricing.conditions.target.core)
    costs: Costs = defaultdict(lambda: [0.0, 0.0, 0.0])
    add_layers(program.graph, execution, timing, costs)
    show(name, costs)
    for kind, cost in costs.items():
        pooled[kind] = [a + b for a, b in zip(pooled[kind], cost, strict=True)]
    total = execution.profile.total()
    cycles = timing.cycles(total)
    memory = program.memory
    return {
        f"m4_{name}_instructions": total["instructions"],
        f"m4_{name}_instructions_of_cmsis_nn": total["instructions"] / CMSIS_NN[name][0],
        f"m4_{name}_cycles": cycles,
        f"m4_{name}_cycles_of_cmsis_nn": cycles / CMSIS_NN[name][1],
        f"m4_{name}_cycles_per_mac": cycles / sum(layer.macs for layer in program.layers),
        f"{name}_flash_beyond_weights_bytes": memory.code_bytes,
        f"{name}_arena_bytes": memory.arena_bytes,
        f"{name}_arena_lower_bound_bytes": memory.arena_lower_bound_bytes,
        f"{name}_stack_bytes": memory.stack_bytes,
    }


def main() -> None:
    arguments = options(__doc__ or "", add_models)
    missing = [file for file in MODELS.values() if not (arguments.models / file).is_file()]
    if missing:
        print(f"skipped: {', '.join(missing)} not in {arguments.models}; say --models DIR or set CREST_DATA")
        return
    target = load_target("nano33ble")
    pricing = Pricing(Conditions(target, Continuous(), Reserve(), max(target.clock_mhz)), EmulatedBackend())
    figures: dict[str, float | None] = {}
    pooled: Costs = defaultdict(lambda: [0.0, 0.0, 0.0])
    wrong: list[int | None] = []
    for name, file in MODELS.items():
        model = (arguments.models / file).read_bytes()
        figures |= measure(name, model, pricing, pooled)
        count = RANDOM_INPUTS[arguments.quick]
        wrong.append(mismatches(import_tflite(model, name), model, count, arguments.seed))
    show("all models", pooled)
    figures["inputs_per_model"] = RANDOM_INPUTS[arguments.quick]
    figures["mismatches"] = None if None in wrong else sum(w or 0 for w in wrong)
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
