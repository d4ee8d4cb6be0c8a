"""Writes a planned graph as C: the model's header, its tables and weights, and ``model_run``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crest.compiler.graph import Graph, Tensor
from crest.compiler.kernel_call import C_TYPES, KernelCall, c_float
from crest.compiler.memory import ArenaPlan

LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */"
_UNSAFE_IN_COMMENT = re.compile(r"[^\w .:;-]")


@dataclass(frozen=True)
class Sources:
    """Generated C: the library (``model.h``, ``model.c``), and the tables by which a harness reaches its tensors."""

    header: str
    model: str
    harness_io: str

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write ``model.h``, ``model.c`` and ``harness_io.c`` into a folder; returns what is to be compiled."""
        for name, text in (("model.h", self.header), ("model.c", self.model), ("harness_io.c", self.harness_io)):
            (folder / name).write_text(text, encoding="utf-8")
        return folder / "model.c", folder / "harness_io.c"


def emit(graph: Graph, calls: Sequence[KernelCall | None], plan: ArenaPlan, model_id: bytes) -> Sources:
    """Write the C sources of a graph.

    Args:
        graph: after its passes.
        calls: kernel call of each operator, in order (None for views).
        plan: where activations lie.
        model_id: 8 bytes by which the host recognises the firmware.
    """
    return Sources(_header(graph, plan), _model(graph, calls, plan), _harness_io(graph, plan, model_id))


def _header(graph: Graph, plan: ArenaPlan) -> str:
    lines = [
        LICENCE, "#ifndef MODEL_H", "#define MODEL_H", "", "#include <stdint.h>", "",
        f"#define MODEL_ARENA_BYTES {plan.size_bytes}", "",
        "/* Kernels may read up to 6 bytes behind it, whatever lies there: keep it off the end of a memory. */",
        "extern uint8_t model_arena[MODEL_ARENA_BYTES];", "",
    ]  # fmt: skip
    for role, indices in (("input", graph.inputs), ("output", graph.outputs)):
        lines.append(f"#define MODEL_{role.upper()}S {len(indices)}")
        for number, index in enumerate(indices):
            lines += _accessor(role, number, graph.tensors[index], plan.tensor_offsets_bytes[index])
    lines += [
        "/* Reads the inputs, writes the outputs. Inputs are overwritten: fill them before every call. */",
        "void model_run(void);", "", "#endif", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _accessor(role: str, number: int, tensor: Tensor, offset: int) -> list[str]:
    name = f"model_{role}_{number}"
    c_type = ("const " if role == "output" else "") + C_TYPES[tensor.dtype]
    lines = [
        f"/* {_UNSAFE_IN_COMMENT.sub('_', tensor.name)}: {tensor.dtype}, shape {list(tensor.shape)} */",
        f"#define {name.upper()}_ELEMENTS {tensor.elements}",
        f"#define {name.upper()}_BYTES {tensor.size_bytes}",
    ]
    if tensor.quantization is not None:
        lines += [
            f"#define {name.upper()}_SCALE {c_float(tensor.scale)} /* real = scale * (q - zero_point) */",
            f"#define {name.upper()}_ZERO_POINT ({tensor.zero_point})",
        ]
    return [*lines, f"static inline {c_type} *{name}(void) {{ return ({c_type} *)(model_arena + {offset}); }}", ""]


def _model(graph: Graph, calls: Sequence[KernelCall | None], plan: ArenaPlan) -> str:
    lines = [LICENCE, '#include "model.h"', "", '#include "crest_nn.h"', ""]
    lines += ['__attribute__((aligned(16), section(".bss.model_arena"))) uint8_t model_arena[MODEL_ARENA_BYTES];', ""]
    body = []
    for position, call in enumerate(calls):
        if call is None:
            continue
        lines += [*_constants(position, call), *_operand_tables(graph, position, call, plan)]
        body.append(f"  CREST_LAYER({position}); /* {_comment(graph, position)} */")
        loop = f"for (int32_t n = 0; n < {call.repeats}; n++) " if call.repeats > 1 else ""
        body.append(f"  {loop}{call.function}({', '.join(_arguments(graph, position, call, plan))});")
    lines += ["void model_run(void) {", *body, "}", ""]
    return "\n".join(lines)


def _comment(graph: Graph, position: int) -> str:
    op = graph.operators[position]
    shapes = ", ".join(str(list(graph.tensors[i].shape)) for i in op.inputs if i >= 0 and graph.tensors[i].data is None)
    return f"{op.kind} {shapes} -> {', '.join(str(list(graph.tensors[i].shape)) for i in op.outputs)}"


def _arguments(graph: Graph, position: int, call: KernelCall, plan: ArenaPlan) -> list[str]:
    op = graph.operators[position]
    activations = {n: i for n, i in enumerate(op.inputs) if i >= 0 and graph.tensors[i].data is None}
    names = {f"in{n}": _address(graph, index, plan) for n, index in activations.items()}
    names["out"] = _address(graph, op.outputs[0], plan)
    if call.repeats > 1:
        for name, index in (("in0", op.inputs[0]), ("out", op.outputs[0])):
            names[name] += f" + n * {graph.tensors[index].elements // call.repeats}"
    if position in plan.scratch_offsets_bytes:
        names["scratch"] = f"(int8_t *)(model_arena + {plan.scratch_offsets_bytes[position]})"
    own = ("inputs", "outputs", *(constant.suffix for constant in call.constants))
    names |= {"params": f"&layer{position}", **{suffix: f"layer{position}_{suffix}" for suffix in own}}
    return [argument.format(**names) for argument in call.arguments]


def _operand_tables(graph: Graph, position: int, call: KernelCall, plan: ArenaPlan) -> list[str]:
    """Tables of addresses, for kernels that take any number of operands. Constants are called by their position."""
    op = graph.operators[position]
    lines = []
    for name, c_type, indices in (("inputs", "const void *const", op.inputs), ("outputs", "void *const", op.outputs)):
        if f"{{{name}}}" in call.arguments:
            addresses = (
                f"model_arena + {plan.tensor_offsets_bytes[index]}"
                if graph.tensors[index].data is None
                else f"layer{position}_{name}{n}"
                for n, index in enumerate(indices)
            )
            lines.append(f"static {c_type} layer{position}_{name}[] = {{{', '.join(addresses)}}};")
    return lines


def _address(graph: Graph, index: int, plan: ArenaPlan) -> str:
    return f"({C_TYPES[graph.tensors[index].dtype]} *)(model_arena + {plan.tensor_offsets_bytes[index]})"


def _constants(position: int, call: KernelCall) -> list[str]:
    lines = []
    for constant in call.constants:
        rows = _rows(constant.values)
        lines.append(f"static const {constant.c_type} layer{position}_{constant.suffix}[] = {{{rows}}};")
    if call.params is not None:
        c_type, fields = call.params
        lines.append(f"static const {c_type} layer{position} = {_initialiser(fields, position)};")
    return [*lines, ""] if lines else []


def _rows(values: NDArray[Any]) -> str:
    if values.ndim == 2:
        return ",".join("{" + ",".join(map(str, row)) + "}" for row in values.tolist())
    if values.dtype == np.float32:
        return ",".join(map(c_float, values.tolist()))
    return ",".join(map(str, values.tolist()))


def _initialiser(value: Any, position: int) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f".{key} = {_initialiser(item, position)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return f"layer{position}_{value.removeprefix('@')}"
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(_initialiser(item, position) for item in value) + "}"
    return c_float(value) if isinstance(value, float) else str(value)


def _harness_io(graph: Graph, plan: ArenaPlan, model_id: bytes) -> str:
    tables = []
    for role, indices in (("input", graph.inputs), ("output", graph.outputs)):
        offsets = plan.tensor_offsets_bytes
        rows = ", ".join(f"{{model_arena + {offsets[i]}, {graph.tensors[i].size_bytes}}}" for i in indices)
        tables.append(f"const crest_io model_{role}s[] = {{{rows}}};")
    return "\n".join([LICENCE, '#include "io.h"', "", '#include "model.h"', "", *tables, *harness_io(graph, model_id)])


def harness_io(graph: Graph, model_id: bytes) -> list[str]:
    """C lines by which a harness knows the model and has room for its inputs and outputs; they need ``io.h``."""
    lines = [f"const uint8_t model_id[8] = {{{', '.join(map(str, model_id))}}};"]
    for role, indices in (("input", graph.inputs), ("output", graph.outputs)):
        total = sum(graph.tensors[i].size_bytes for i in indices)
        lines += [
            f"const uint32_t model_{role}_count = {len(indices)};",
            f"const uint32_t harness_{role}_bytes = {total};",
            f"uint8_t harness_{role}[{total}];",
        ]
    return [*lines, ""]
