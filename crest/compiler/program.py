"""What the compiler delivers: an ELF, the graph it came from, its cost in memory, and golden input/output pairs."""

from __future__ import annotations

from dataclasses import dataclass

from crest.compiler.emit import Sources
from crest.compiler.graph import Graph
from crest.compiler.layout import Layout
from crest.compiler.memory import ArenaPlan
from crest.compiler.passes import PassRecord
from crest.frozen import Frozen
from crest.measurement import MemoryReport
from crest.targets import Target


@dataclass(frozen=True)
class GoldenPair:
    """All inputs of one inference, concatenated as the firmware takes them, and the outputs they must give."""

    inputs: bytes
    outputs: bytes


class ProgramLayer(Frozen):
    """An operator that runs on the target: ``index`` is what its layer mark carries."""

    index: int
    name: str
    operator: str
    macs: int


@dataclass(frozen=True)
class Program:
    """Firmware for one target.

    Attributes:
        imported: the graph as the .tflite holds it.
        graph: the graph after the passes; ``removed`` tells the difference.
        runtime: what runs the model on the target: ``crest``, or ``tflm`` and the identity of its sources; ``probe``
            where there is no model, but one kind of work (``crest.calibrate``).
        model_id: 8 bytes by which the host recognises the firmware.
        arena: where activations lie; None where an interpreter decides that on the target.
        sources: the generated library; None where an interpreter runs the model.
    """

    name: str
    target: Target
    toolchain: str
    runtime: str
    elf: bytes
    elf_sha256: str
    model_id: bytes
    imported: Graph
    graph: Graph
    removed: tuple[PassRecord, ...]
    layers: tuple[ProgramLayer, ...]
    arena: ArenaPlan | None
    layout: Layout
    memory: MemoryReport
    golden: tuple[GoldenPair, ...]
    sources: Sources | None

    @property
    def input_bytes(self) -> int:
        """Bytes of all inputs."""
        return sum(self.graph.tensors[i].size_bytes for i in self.graph.inputs)

    @property
    def output_bytes(self) -> int:
        """Bytes of all outputs."""
        return sum(self.graph.tensors[i].size_bytes for i in self.graph.outputs)
