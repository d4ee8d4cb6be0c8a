"""What belongs to one model: the list of its operators, its bytes, its arena, and the harness's buffers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crest.compiler.emit import LICENCE, harness_io
from crest.compiler.graph import Graph
from crest.compiler.tflm.tree import TflmTree
from crest.errors import ModelError

_ARENA = "arena.c"
# The assembler reads the file itself: a C array of a large model takes longer to compile than everything else.
_MODEL = """\
{licence}
__asm__(".section .rodata.tflm_model,\\"a\\",%progbits\\n"
        ".balign 16\\n.global tflm_model\\n.type tflm_model,%object\\ntflm_model:\\n.incbin \\"model.tflite\\"\\n"
        ".size tflm_model, . - tflm_model\\n");
"""


@dataclass(frozen=True)
class ModelSources:
    """The generated sources of one model: file contents by name."""

    files: dict[str, bytes]

    def write(self, folder: Path) -> list[Path]:
        """Write them into a folder; returns what is to be compiled."""
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return [folder / name for name in self.files if name.endswith(".c")]


def kinds_of(graph: Graph) -> list[str]:
    """Builtin operators of a graph, each once, in order of appearance."""
    return list(dict.fromkeys(op.kind for op in graph.operators))


def emit_model(graph: Graph, tree: TflmTree, model_id: bytes) -> ModelSources:
    """Write the sources of a graph as its file holds it.

    Raises:
        ModelError: an operator that the tree does not know, named with its index.
    """
    kinds = kinds_of(graph)
    for index, op in enumerate(graph.operators):
        if op.kind not in tree.kinds:
            raise ModelError(
                f"{graph.name}: operator {index} ({op.kind}): TFLite Micro in {tree.root} has no such operator",
                hint="a newer tree, another model, or `runtime: crest`",
            )
    each = " ".join(f"X({tree.kinds[kind].method}, {kind})" for kind in kinds)
    operators = [
        LICENCE,
        f"#define TFLM_KINDS {len(kinds)}",
        f"#define TFLM_LAYERS {len(graph.operators)}",
        f"#define TFLM_INPUTS {len(graph.inputs)}",
        f"#define TFLM_OUTPUTS {len(graph.outputs)}",
        f"#define TFLM_EACH_KIND(X) {each}",
        f"#define TFLM_KIND_OF_LAYER {', '.join(str(kinds.index(op.kind)) for op in graph.operators)}",
        "",
    ]
    io = [LICENCE, '#include "io.h"', "", *harness_io(graph, model_id)]
    return ModelSources(
        {
            "tflm_operators.h": "\n".join(operators).encode(),
            "harness_io.c": "\n".join(io).encode(),
            "model.c": _MODEL.format(licence=LICENCE).encode(),
            "model.tflite": graph.tflite,
        }
    )


def write_arena(folder: Path, size_bytes: int) -> Path:
    """Write the arena of a size; returns what is to be compiled."""
    path = folder / _ARENA
    path.write_text(
        f"{LICENCE}\n#include <stdint.h>\n"
        f'__attribute__((aligned(16), section(".bss.model_arena"))) uint8_t model_arena[{size_bytes}];\n'
        f"const uint32_t model_arena_bytes = {size_bytes};\n",
        encoding="utf-8",
    )
    return path
