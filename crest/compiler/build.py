"""The compiler's road: graph -> passes -> memory plan -> C -> ELF -> Program."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from elftools.elf.elffile import ELFFile

from crest.assets import asset_path
from crest.compiler.cost import Cost, core_cost
from crest.compiler.emit import Sources, emit
from crest.compiler.graph import INTEGER_RANGES, Graph
from crest.compiler.host import HostModel
from crest.compiler.kernel_call import KernelCall
from crest.compiler.layout import READ_BEHIND_BYTES, Layout, auto_layout, fixed_layout
from crest.compiler.linker import linker_script
from crest.compiler.lowering import lower
from crest.compiler.memory import ArenaPlan, plan_arena
from crest.compiler.memory_report import code_bytes, report_memory, stack_bound, weights_by_region
from crest.compiler.ordering import lag_bytes, reorder, scratch_bytes
from crest.compiler.passes import PassRecord, PassSet, run_passes
from crest.compiler.program import GoldenPair, Program, ProgramLayer
from crest.compiler.toolchain import MEASURE, Toolchain
from crest.errors import CapacityError
from crest.measurement import MemoryReport
from crest.placement import AS_TARGET, Placement
from crest.targets import CoreName, Target

GOLDEN_PAIRS = 4
OWN_RUNTIME = "crest"


@dataclass(frozen=True)
class Lowered:
    """A graph ready to be compiled for any machine."""

    imported: Graph
    graph: Graph
    removed: tuple[PassRecord, ...]
    calls: tuple[KernelCall | None, ...]
    arena: ArenaPlan
    model_id: bytes

    @cached_property
    def sources(self) -> Sources:
        """The C sources; written when first asked for, for a model that does not fit needs none."""
        return emit(self.graph, self.calls, self.arena, self.model_id)


def lower_graph(
    imported: Graph, core: CoreName = "cortex-m4", cost: Cost | None = None, passes: PassSet = "optimized"
) -> Lowered:
    """Run the passes, choose the kernels and plan the memory.

    Args:
        imported: from ``import_tflite``.
        core: whose instructions the kernels may use; the host runs the kernels of every core.
        cost: decides between kernels of a layer; by default the core's own table.
        passes: which graph passes run.
    """
    graph, removed = run_passes(imported, passes)
    cost = cost or core_cost(core)
    calls = tuple(lower(graph, op, core, cost) for op in graph.operators)
    lags: dict[int, int] = {}
    if passes != "plain":
        graph, calls, moved = reorder(graph, calls)
        removed = (*removed, PassRecord("reorder", tuple(moved)))
        lags = lag_bytes(calls)
    arena = plan_arena(graph, scratch_bytes(calls), lags)
    model_id = content_hash(graph).digest()[:8]
    return Lowered(imported, graph, removed, calls, arena, model_id)


def check_static_fit(
    lowered: Lowered,
    target: Target,
    extra_flash_bytes: int,
    extra_ram_bytes: int,
    placement: Placement = AS_TARGET,
) -> None:
    """Refuse what cannot fit before a compiler is called: weights, arena, buffers and reserve alone.

    Raises:
        CapacityError: they are larger than the target's memories.
    """
    weights = sum(call.weight_bytes for call in lowered.calls if call is not None) + extra_flash_bytes
    check_room("flash", weights, target.flash_available_bytes, target.name, "weights and reserve alone need")
    arena_region = fixed_layout(placement, target, lowered.calls).arena
    arena = lowered.arena.size_bytes
    if arena_region != target.data_region:
        behind = arena + READ_BEHIND_BYTES
        check_room(arena_region, behind, target.available_bytes(arena_region), target.name, "the arena alone needs")
        arena = 0
    ram = arena + extra_ram_bytes
    check_room("RAM", ram, target.ram_available_bytes, target.name, "arena, buffers and reserve alone need")


def check_fit(memory: MemoryReport, target: Target) -> None:
    """Refuse a program that does not fit beside the measuring harness.

    Raises:
        CapacityError: it is larger than the target's memories.
    """
    used = {use.region: use.used_bytes for use in memory.regions}
    flash = used[target.code_region] + memory.flash_reserve_bytes
    ram = used[target.data_region] + memory.ram_reserve_bytes + memory.workload_ram_bytes
    check_room("flash", flash, target.flash_available_bytes, target.name, "model, reserve and measuring harness need")
    check_room("RAM", ram, target.ram_available_bytes, target.name, "model, stack, reserve and measuring harness need")


def build_program(
    lowered: Lowered,
    target: Target,
    toolchain: Toolchain,
    seed: int = 0,
    placement: Placement = AS_TARGET,
    reserved_ram_bytes: int = 0,
) -> Program:
    """Compile a lowered graph to measuring firmware.

    Args:
        lowered: from ``lower_graph``.
        target: the board.
        toolchain: the compiler, set up for the target.
        seed: of the random golden inputs.
        placement: where code, weights and arena lie.
        reserved_ram_bytes: what the application keeps of the data region; ``auto`` leaves it alone.

    Raises:
        CapacityError: the linker found no room.
        StudyError: the placement names what the target does not have.
        ToolchainError: the compiler failed.
    """
    layout = fixed_layout(placement, target, lowered.calls)
    elf, memory = _build(lowered, target, toolchain, layout)
    if placement.has_auto:
        code = code_bytes(ELFFile(io.BytesIO(elf)))
        chosen = auto_layout(placement, target, lowered.graph, lowered.calls, layout, memory, code, reserved_ram_bytes)
        if chosen != layout:
            layout = chosen
            elf, memory = _build(lowered, target, toolchain, layout)
    return Program(
        name=lowered.imported.name,
        target=target,
        toolchain=toolchain.identity,
        runtime=OWN_RUNTIME,
        elf=elf,
        elf_sha256=hashlib.sha256(elf).hexdigest(),
        model_id=lowered.model_id,
        imported=lowered.imported,
        graph=lowered.graph,
        removed=lowered.removed,
        layers=tuple(layer for layer in program_layers(lowered.graph) if lowered.calls[layer.index] is not None),
        arena=lowered.arena,
        layout=layout,
        memory=memory,
        golden=golden_pairs(lowered, seed),
        sources=lowered.sources,
    )


def program_layers(graph: Graph) -> tuple[ProgramLayer, ...]:
    """The operators of a graph as layers that carry their position as mark."""
    return tuple(
        ProgramLayer(
            index=position,
            name=_short_name(graph.tensors[op.outputs[0]].name),
            operator=op.kind,
            macs=graph.macs(op),
        )
        for position, op in enumerate(graph.operators)
    )


def _short_name(tensor_name: str) -> str:
    """Converters join the names of everything they fused; the first names the layer."""
    return tensor_name.split(";", maxsplit=1)[0].split("/", maxsplit=1)[0]


def check_room(what: str, needed: int, available: int, target: str, words: str) -> None:
    """Refuse what needs more bytes of a memory than there are.

    Raises:
        CapacityError: saying so in ``words``.
    """
    if needed > available:
        raise CapacityError(
            f"does not fit the {what} of {target}: {words} {needed} bytes, {available} are there",
            hint="a smaller model, a smaller reserve, or a larger board",
        )


def _build(lowered: Lowered, target: Target, toolchain: Toolchain, layout: Layout) -> tuple[bytes, MemoryReport]:
    elf = build_elf(lowered.sources, target, toolchain, layout)
    file = ELFFile(io.BytesIO(elf))
    weights = weights_by_region(target, layout, lowered.calls)
    return elf, report_memory(file, target, layout, weights, lowered.arena.lower_bound_bytes, stack_bound(file))


def harness_objects(target: Target, toolchain: Toolchain, defines: Sequence[str] = ()) -> list[Path]:
    """The measuring harness, compiled for a board at its fastest clock."""
    defines = (*defines, f"CREST_CLOCK_MHZ={max(target.clock_mhz):g}")
    firmware = asset_path("firmware")
    folders = [firmware / "runtime", *target.board_folders]
    sources = sorted(source for folder in folders for source in folder.glob("*.c"))
    return [toolchain.compile_cached(path, [*folders, firmware / "nn"], defines) for path in sources]


def build_elf(
    sources: Sources, target: Target, toolchain: Toolchain, layout: Layout, beside: Sequence[Path] = ()
) -> bytes:
    """Compile generated C and link it with the kernels and the measuring harness.

    Args:
        sources: from ``emit``, or whatever else gives ``model_run`` and the tables of ``io.h``.
        target: the board.
        toolchain: the compiler, set up for the target.
        layout: where the parts lie.
        beside: C files that the sources call, beside the kernels; no candidate changes them. Headers in their folders
            are found.

    Raises:
        CapacityError: the linker found no room.
        ToolchainError: the compiler failed.
    """
    kernels, runtime = asset_path("firmware", "nn"), asset_path("firmware", "runtime")
    objects = [toolchain.compile_cached(path, [kernels]) for path in sorted(kernels.glob("*.c"))]
    objects += [toolchain.compile_cached(path, [path.parent]) for path in beside]
    objects += harness_objects(target, toolchain)
    with tempfile.TemporaryDirectory(prefix="crest-build-") as scratch:
        folder = Path(scratch)
        written = sources.write(folder)
        script = folder / "target.ld"
        names = [*(path.name for path in objects), *(f"{path.stem}.o" for path in written)]
        harness = [name for name in names if name.startswith("harness_")]
        script.write_text(linker_script(target, layout, harness), encoding="utf-8")
        include = [folder, kernels, runtime, *(path.parent for path in beside)]
        toolchain.build(written, objects, folder / "firmware.elf", include, MEASURE, script)
        return (folder / "firmware.elf").read_bytes()


def golden_pairs(lowered: Lowered, seed: int) -> tuple[GoldenPair, ...]:
    """Random inputs over the whole range of the type, and what the host's build of the same kernels gives."""
    rng = np.random.default_rng(seed)
    inputs = []
    for _ in range(GOLDEN_PAIRS):
        parts = []
        for index in lowered.graph.inputs:
            tensor = lowered.graph.tensors[index]
            if tensor.dtype in INTEGER_RANGES:
                low, high = INTEGER_RANGES[tensor.dtype]
                parts.append(rng.integers(low, high + 1, tensor.elements, dtype=tensor.dtype).tobytes())
            else:
                parts.append(rng.standard_normal(tensor.elements).astype(np.float32).tobytes())
        inputs.append(b"".join(parts))
    with HostModel(lowered.graph, lowered.sources) as host:
        return tuple(GoldenPair(data, host.run_bytes(data)) for data in inputs)


def content_hash(graph: Graph) -> Any:
    """SHA-256 of everything that decides what a graph computes."""
    digest = hashlib.sha256(graph.topology().encode())
    for tensor in graph.constants():
        assert tensor.data is not None
        digest.update(tensor.data.tobytes())
    digest.update(repr([tensor.quantization for tensor in graph.tensors]).encode())
    return digest
