"""The road of the runtime ``tflm``: .tflite + source tree -> ELF -> Program."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from elftools.elf.elffile import ELFFile

from crest.assets import asset_path
from crest.compiler.build import (
    Lowered,
    check_room,
    content_hash,
    golden_pairs,
    harness_objects,
    lower_graph,
    program_layers,
)
from crest.compiler.graph import Graph
from crest.compiler.layout import Layout, fixed_layout
from crest.compiler.linker import linker_script
from crest.compiler.memory_report import report_memory
from crest.compiler.program import Program
from crest.compiler.tflm.arena import fit_arena
from crest.compiler.tflm.emit import ModelSources, emit_model, kinds_of, write_arena
from crest.compiler.tflm.library import INTERPRETED, LIBRARIES, compile_glue, compile_tree, require_cxx
from crest.compiler.tflm.probe import Report
from crest.compiler.tflm.tree import TflmTree, read_tree, tree_folder
from crest.compiler.toolchain import Toolchain
from crest.errors import ModelError, StudyError, ToolchainError
from crest.placement import AS_TARGET, Placement
from crest.targets import Target

_UNDEFINED: Final = "undefined reference"
_EXACT_KINDS: Final = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class TflmRuntime:
    """TFLite Micro from one tree, for one target and compiler."""

    tree: TflmTree
    target: Target
    toolchain: Toolchain
    layout: Layout

    @property
    def identity(self) -> str:
        """What measurements name, and what decides the machine code beside the compiler."""
        return self.tree.identity

    def build_program(self, graph: Graph, seed: int = 0) -> Program:
        """Build measuring firmware of a model as it was exported.

        Args:
            graph: from ``import_tflite``.
            seed: of the random golden inputs.

        Raises:
            ModelError: an operator that the tree does not know, or that its kernels refuse; floating point.
            CapacityError: it does not fit.
            ToolchainError: the compiler failed.
        """
        _refuse_floating_point(graph)
        check_room("flash", len(graph.tflite), self.target.flash_available_bytes, self.target.name, "the .tflite has")
        model_id = hashlib.sha256(self.identity.encode() + content_hash(graph).digest()).digest()[:8]
        # Its kernels say what the outputs must be, and its lifetimes how much arena no plan can do without.
        reference = lower_graph(graph, self.target.core, passes="plain")
        bound = reference.arena.lower_bound_bytes
        room = self.target.available_bytes(self.layout.arena)
        check_room("RAM", bound, room, self.target.name, "the activations alone need")
        elf, report = self._build_elf(graph, emit_model(graph, self.tree, model_id))
        return self._program(reference, model_id, elf, report, seed)

    def _build_elf(self, graph: Graph, sources: ModelSources) -> tuple[bytes, Report]:
        with tempfile.TemporaryDirectory(prefix="crest-tflm-") as scratch:
            folder = Path(scratch)
            written = sources.write(folder)
            glue = compile_glue(self.tree, self.toolchain, folder)
            glue += harness_objects(self.target, self.toolchain, (INTERPRETED,))
            needed, every = self.tree.kernels_of(kinds_of(graph)), self.tree.kernels
            while True:
                objects = [*compile_tree(self.tree, self.toolchain, needed), *glue]
                link = partial(self._link, folder, objects, written)
                try:
                    return fit_arena(graph, self.target, self.layout, link)
                except ToolchainError as exc:
                    # A kernel may need another in a way that names do not tell.
                    if needed == every or _UNDEFINED not in exc.message:
                        raise
                    needed = every

    def _link(self, folder: Path, objects: Sequence[Path], sources: Sequence[Path], arena_bytes: int) -> bytes:
        script = folder / "target.ld"
        own = [*sources, write_arena(folder, arena_bytes)]
        names = [*(path.name for path in objects), *(f"{path.stem}.o" for path in own)]
        script.write_text(
            linker_script(self.target, self.layout, [name for name in names if name.startswith("harness_")])
        )
        include = [folder, asset_path("firmware", "runtime")]
        output = folder / "firmware.elf"
        self.toolchain.with_libraries(LIBRARIES).build(own, objects, output, include, (INTERPRETED,), script)
        return output.read_bytes()

    def _program(self, reference: Lowered, model_id: bytes, elf: bytes, report: Report, seed: int) -> Program:
        graph = reference.imported
        memory = report_memory(
            ELFFile(io.BytesIO(elf)),
            self.target,
            self.layout,
            {self.target.code_region: len(graph.tflite)},
            reference.arena.lower_bound_bytes,
            report.stack,
        )
        return Program(
            name=graph.name,
            target=self.target,
            toolchain=self.toolchain.identity,
            runtime=self.identity,
            elf=elf,
            elf_sha256=hashlib.sha256(elf).hexdigest(),
            model_id=model_id,
            imported=graph,
            graph=graph,
            removed=(),
            layers=program_layers(graph),
            arena=None,
            layout=self.layout,
            memory=memory,
            golden=golden_pairs(reference, seed),
            sources=None,
        )


def open_tflm(tree: str, target: Target, toolchain: Toolchain, placement: Placement = AS_TARGET) -> TflmRuntime:
    """TFLite Micro from a tree of the user's.

    Args:
        tree: its folder; empty for that of ``$CREST_TFLM``.
        target: the board.
        toolchain: the compiler, set up for the target.
        placement: where code and arena lie; the .tflite stays in flash.

    Raises:
        StudyError: a placement that would have to be searched for, or that moves weights.
        ToolchainError: no tree is given, it is not whole, or the compiler cannot compile it.
    """
    folder = tree_folder(tree)
    require_cxx(toolchain)
    if placement.has_auto or placement.weights is not None:
        raise StudyError(
            "runtime tflm: placement moves only code and arena, each to a region that is named",
            hint="for example placement: {code: itcm, arena: dtcm}",
        )
    return TflmRuntime(read_tree(folder), target, toolchain, fixed_layout(placement, target, ()))


def _refuse_floating_point(graph: Graph) -> None:
    for index, op in enumerate(graph.operators):
        if op.kind not in _EXACT_KINDS and graph.tensors[op.outputs[0]].dtype == "float32":
            raise ModelError(
                f"{graph.name}: operator {index} ({op.kind}) computes in float32: runtime tflm prices quantized "
                "models, whose outputs can be checked bit by bit",
                hint="quantize the model, or use `runtime: crest`",
            )
