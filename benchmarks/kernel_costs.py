"""Fits the tables by which the compiler chooses between kernels, emulation/kernels/<core>.yaml, and judges them.

Random convolutions are compiled with each kernel that can do them, executed on the emulated core, and timed with
memories that never make it wait. Cycles by unit of work are fitted without negative values, relative errors squared.
What counts is the choice: how often the table takes the slower kernel, and what that costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from _figures import options, report
from rich.console import Console
from rich.table import Table
from scipy.optimize import nnls

from crest.backends.emulated import EmulatedBackend
from crest.compiler.build import build_program, lower_graph
from crest.compiler.cost import core_cost
from crest.compiler.graph import Graph, Operator, Quantization, Tensor
from crest.compiler.kernel_call import KernelCall
from crest.compiler.toolchain import target_toolchain
from crest.targets import CoreName, Target, load_target
from crest.timing.model import load_core_timing

CONVOLUTIONS = {True: 6, False: 100}
"""By --quick: how many are drawn."""
KERNELS = ("crest_conv2d_pairs_s8", "crest_conv2d_rows_s8")
CORES: tuple[CoreName, ...] = ("cortex-m4", "cortex-m7")
BOARD = load_target("nano33ble")


@dataclass(frozen=True)
class Case:
    """A convolution as one kernel does it."""

    call: KernelCall
    cycles: float


def convolution(rng: np.random.Generator) -> Graph:
    """A convolution over one or two axes, of the sizes that networks for microcontrollers have."""
    in_c, out_c = (int(c) for c in rng.choice([1, 2, 3, 4, 6, 8, 10, 16, 24, 31, 32, 48, 64], 2))
    is_line = bool(rng.random() < 0.5)
    k_h = 1 if is_line else int(rng.choice([1, 1, 2, 3, 5]))
    k_w = int(rng.integers(1, 13)) if is_line else k_h
    out_h, out_w = (1 if is_line else int(rng.integers(2, 8))), int(rng.integers(3, 26 if is_line else 12))
    stride = int(rng.choice([1, 1, 2]))
    in_h = 1 if is_line else (out_h - 1) * stride + k_h
    in_w = (out_w - 1) * stride + k_w
    weights = rng.integers(-127, 128, (out_c, k_h, k_w, in_c)).astype(np.int8)
    tensors = (
        Tensor("input", (1, in_h, in_w, in_c), "int8", Quantization((0.02,), (-3,))),
        Tensor("weights", weights.shape, "int8", Quantization((0.004,), (0,)), weights),
        Tensor("output", (1, out_h, out_w, out_c), "int8", Quantization((0.1,), (5,))),
    )
    attributes = {"strides": (stride, stride), "dilation": (1, 1), "padding": (0, 0, 0, 0), "activation": "none"}
    return Graph("convolution", tensors, (Operator("CONV_2D", (0, 1), (2,), attributes),), (0,), (2,))


def measured(graph: Graph, target: Target) -> Iterator[Case]:
    """The convolution by each kernel."""
    for kernel in KERNELS:
        lowered = lower_graph(graph, target.core, cost=lambda call, kernel=kernel: call.function != kernel)
        call = lowered.calls[0]
        assert call is not None
        program = build_program(lowered, target, target_toolchain("zig", target))
        layer = EmulatedBackend().run(program).profile.layers[0]
        yield Case(call, load_core_timing(target.core).cycles(layer.counts))


def fit(cases: list[Case]) -> tuple[dict[str, float], float]:
    """Cycles by unit of work, and the median of the relative errors."""
    names = [name for name in cases[0].call.work if any(case.call.work[name] for case in cases)]
    work = np.array([[case.call.work[name] for name in names] for case in cases], dtype=float)
    cycles = np.array([case.cycles for case in cases])
    values, _ = nnls(work / cycles[:, None], np.ones(len(cases)))
    return dict(zip(names, values.tolist(), strict=True)), float(np.median(np.abs(work @ values / cycles - 1)))


def judged(core: CoreName, pairs: list[list[Case]]) -> tuple[float, float, float]:
    """How often the shipped table is wrong, the mean loss by it, and the mean loss of never choosing rows."""
    cost = core_cost(core)
    chosen = [min(pair, key=lambda case: cost(case.call)).cycles for pair in pairs]
    best = [min(case.cycles for case in pair) for pair in pairs]
    losses = np.array(chosen) / best - 1
    return (
        float((losses > 0).mean()),
        float(losses.mean()),
        float(np.mean([p[0].cycles for p in pairs] / np.array(best)) - 1),
    )


def main() -> None:
    arguments = options(__doc__ or "")
    figures: dict[str, float | None] = {}
    for core in CORES:
        rng = np.random.default_rng(arguments.seed)
        target = BOARD.model_copy(update={"core": core, "fpu": "none"})
        pairs = [list(measured(convolution(rng), target)) for _ in range(CONVOLUTIONS[arguments.quick])]
        table = Table(title=f"{core}: cycles by unit of work")
        for heading in ("kernel", "fit", "median error"):
            table.add_column(heading)
        for number, kernel in enumerate(KERNELS):
            row, error = fit([pair[number] for pair in pairs])
            table.add_row(kernel, ", ".join(f"{name}: {value:.3g}" for name, value in row.items()), f"{error:.1%}")
            figures[f"{core}_{kernel}_median_error_pct"] = 100 * error
        Console(width=120).print(table)
        wrong, loss, without = judged(core, pairs)
        figures[f"{core}_wrong_choices_pct"] = 100 * wrong
        figures[f"{core}_loss_by_table_pct"] = 100 * loss
        figures[f"{core}_loss_by_pairs_alone_pct"] = 100 * without
    figures["convolutions"] = CONVOLUTIONS[arguments.quick]
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
