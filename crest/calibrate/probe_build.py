"""Builds a probe into a program like any other: its inputs are how much to do and a seed, its output is a checksum."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Final

import numpy as np
from elftools.elf.elffile import ELFFile

from crest.assets import asset_path
from crest.calibrate.probe_specs import BLOCK_WORDS, ProbeSpec
from crest.compiler.build import build_elf
from crest.compiler.emit import LICENCE, Sources, harness_io
from crest.compiler.graph import Graph, Tensor
from crest.compiler.host import HostModel
from crest.compiler.layout import Layout
from crest.compiler.memory_report import report_memory, stack_bound
from crest.compiler.program import GoldenPair, Program, ProgramLayer
from crest.compiler.toolchain import Toolchain
from crest.targets import Target

PROBE_RUNTIME: Final = "probe"
PROBE_OPERATOR: Final = "PROBE"
# Enough to tell a computation from a constant.
_SHORT_INSTRUCTIONS: Final = 1000
_TABLE_SEED: Final = 0

_MODEL: Final = """\
{licence}
#include "crest_nn.h"
#include "probe.h"

const uint32_t layer0_table[] = {{{table}}};
const uint32_t layer0_table_words = {table_words};
__attribute__((aligned(16), section(".bss.model_arena"))) uint32_t model_arena[{arena_words}];
const uint32_t model_arena_words = {arena_words};
uint32_t probe_arguments[2], probe_checksum[1];

void model_run(void) {{
  CREST_LAYER(0);
  probe_checksum[0] = probe_run(probe_arguments[0], probe_arguments[1]);
}}
"""
_HARNESS_IO: Final = """\
{licence}
#include "io.h"

extern uint32_t probe_arguments[2], probe_checksum[1];
const crest_io model_inputs[] = {{{{probe_arguments, sizeof probe_arguments}}}};
const crest_io model_outputs[] = {{{{probe_checksum, sizeof probe_checksum}}}};
{tables}
"""


def build_probe(
    spec: ProbeSpec, target: Target, toolchain: Toolchain, code_region: str, instructions: int, seed: int = 0
) -> Program:
    """Compile and link a probe.

    Args:
        spec: the probe.
        target: the board, at the clock to build for.
        toolchain: the compiler, set up for the target.
        code_region: where the probe's code lies.
        instructions: that one repetition executes, about.
        seed: of the data that it computes with.

    Raises:
        CapacityError: the target has no room for it.
        ToolchainError: the compiler failed.
    """
    graph = _graph(spec)
    layout = _layout(spec, target, code_region)
    model_id = hashlib.sha256(f"{spec} {layout}".encode()).digest()[:8]
    sources = _sources(spec, graph, model_id)
    beside = (asset_path("firmware", "probes") / f"{spec.source}.c",)
    elf = build_elf(sources, target, toolchain, layout, beside)
    file = ELFFile(io.BytesIO(elf))
    weights = dict.fromkeys((region.name for region in target.regions), 0)
    return Program(
        name=spec.name,
        target=target,
        toolchain=toolchain.identity,
        runtime=PROBE_RUNTIME,
        elf=elf,
        elf_sha256=hashlib.sha256(elf).hexdigest(),
        model_id=model_id,
        imported=graph,
        graph=graph,
        removed=(),
        layers=(ProgramLayer(index=0, name=spec.name, operator=PROBE_OPERATOR, macs=0),),
        arena=None,
        layout=layout,
        memory=report_memory(file, target, layout, weights, 0, stack_bound(file)),
        golden=_golden_pairs(graph, sources, beside, instructions, seed),
        sources=sources,
    )


def _graph(spec: ProbeSpec) -> Graph:
    """What goes in and comes out; there is no operator in between."""
    tensors = (Tensor("instructions_and_seed", (2,), "int32"), Tensor("checksum", (1,), "int32"))
    return Graph(spec.name, tensors, (), (0,), (1,))


def _layout(spec: ProbeSpec, target: Target, code_region: str) -> Layout:
    # The start-up code copies a layer's constants to where the layout wants them: the table is such constants.
    table = spec.table_region or target.code_region
    return Layout(
        code=code_region,
        arena=spec.arena_region or target.data_region,
        weights={} if table == target.code_region else {0: table},
    )


def _sources(spec: ProbeSpec, graph: Graph, model_id: bytes) -> Sources:
    """What a model's generated code would be, around the probe; it needs no header of its own."""
    table_words = spec.memory_words if spec.table_region else BLOCK_WORDS
    arena_words = spec.memory_words if spec.arena_region else BLOCK_WORDS
    # Random, so that as many bits change from one load to the next as with weights.
    table = np.random.default_rng(_TABLE_SEED).integers(0, 1 << 32, table_words, dtype=np.uint32)
    return Sources(
        header=f"{LICENCE}\n",
        model=_MODEL.format(
            licence=LICENCE, table=",".join(map(str, table)), table_words=table_words, arena_words=arena_words
        ),
        harness_io=_HARNESS_IO.format(licence=LICENCE, tables="\n".join(harness_io(graph, model_id))),
    )


def _golden_pairs(
    graph: Graph, sources: Sources, beside: tuple[Path, ...], instructions: int, seed: int
) -> tuple[GoldenPair, ...]:
    """A short repetition from another seed, then the one that is counted."""
    rng = np.random.default_rng(seed)
    seeds = rng.integers(1, 1 << 31, 2, dtype=np.uint32).tolist()
    arguments = zip((_SHORT_INSTRUCTIONS, instructions), seeds, strict=True)
    inputs = [np.array(pair, dtype="<u4").tobytes() for pair in arguments]
    with HostModel(graph, sources, beside) as host:
        return tuple(GoldenPair(data, host.run_bytes(data)) for data in inputs)
