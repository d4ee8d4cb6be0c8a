"""Lowering of operators that only move elements."""

from __future__ import annotations

import math

import numpy as np

from crest.compiler.graph import ELEMENT_BYTES, Graph, Operator
from crest.compiler.kernel_call import Constant, KernelCall, constant_operands
from crest.compiler.lowering.axes import LOOPS, merge, pitches
from crest.errors import ModelError


def slice_box(graph: Graph, op: Operator) -> KernelCall:
    """SLICE and STRIDED_SLICE: a box of the input, with steps."""
    pitch = pitches(graph.tensors[op.inputs[0]].shape)
    begin, count, strides = (op.attributes[key] for key in ("begin", "count", "strides"))
    offset = sum(start * step for start, step in zip(begin, pitch, strict=True))
    return _gather(graph, op, count, [s * step for s, step in zip(strides, pitch, strict=True)], offset)


def transpose(graph: Graph, op: Operator) -> KernelCall:
    """The axes of the input in another order."""
    source, permutation = graph.tensors[op.inputs[0]], op.attributes["permutation"]
    pitch = pitches(source.shape)
    return _gather(graph, op, [source.shape[axis] for axis in permutation], [pitch[axis] for axis in permutation], 0)


def _gather(graph: Graph, op: Operator, counts: list[int], steps: list[int], offset: int) -> KernelCall:
    """Nested loops over the input, counted in elements; elements that lie side by side are moved together."""
    size = ELEMENT_BYTES[graph.tensors[op.inputs[0]].dtype]
    counts, (steps,) = merge(counts, steps)
    run = counts.pop() if steps and steps[-1] == 1 else 1
    steps = steps[: len(counts)]
    missing = LOOPS - len(counts)
    if missing < 0:
        raise ModelError("moves along more than 5 axes")
    fields = {
        "count": [1] * missing + counts,
        "step_bytes": [0] * missing + [step * size for step in steps],
        "offset_bytes": offset * size,
        "run_bytes": run * size,
    }
    return KernelCall("crest_gather", ("{params}", "{in0}", "{out}"), ("crest_gather_params", fields))


def pad(graph: Graph, op: Operator) -> KernelCall:
    """The input within a larger, filled tensor."""
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if len(out.shape) > LOOPS:
        raise ModelError(f"more than {LOOPS} dimensions are not supported")
    missing = LOOPS - len(out.shape)
    fields = {
        "in": [1] * missing + list(source.shape),
        "before": [0] * missing + [before for before, _ in op.attributes["paddings"]],
        "out": [1] * missing + list(out.shape),
        "element_bytes": ELEMENT_BYTES[out.dtype],
        "fill": out.zero_point,
    }
    return KernelCall("crest_pad", ("{params}", "{in0}", "{out}"), params=("crest_pad_params", fields))


def concatenate(graph: Graph, op: Operator) -> KernelCall:
    """CONCATENATION and PACK: rows of the output are made of one piece from each input."""
    return _parts("crest_concatenate", ("{params}", "{inputs}", "{out}"), graph, op, op.outputs[0], op.inputs)


def split(graph: Graph, op: Operator) -> KernelCall:
    """SPLIT, SPLIT_V and UNPACK: rows of the input are cut into one piece for each output."""
    source = 1 if op.kind == "SPLIT" else 0
    arguments = ("{params}", f"{{in{source}}}", "{outputs}")
    return _parts("crest_split", arguments, graph, op, op.inputs[source], op.outputs)


def _parts(
    function: str, arguments: tuple[str, ...], graph: Graph, op: Operator, whole: int, parts: tuple[int, ...]
) -> KernelCall:
    tensor = graph.tensors[whole]
    rows = math.prod(tensor.shape[: op.attributes["axis"]])
    row_bytes = np.array([graph.tensors[part].size_bytes // rows for part in parts])
    fields = {"rows": rows, "parts": len(parts), "row_bytes": "@row_bytes"}
    given = constant_operands(graph, op) if parts == op.inputs else ()
    return KernelCall(
        function,
        arguments,
        ("crest_parts", fields),
        (Constant("row_bytes", "int32_t", row_bytes), *given),
        weight_bytes=sum(constant.values.nbytes for constant in given),
    )


def space_to_batch(graph: Graph, op: Operator) -> KernelCall:
    """The pixels of images, dealt to a batch of grids."""
    return _space_batch("crest_space_to_batch", graph, op, op.inputs[0], op.outputs[0])


def batch_to_space(graph: Graph, op: Operator) -> KernelCall:
    """The pixels of a batch of grids, interleaved to images."""
    return _space_batch("crest_batch_to_space", graph, op, op.outputs[0], op.inputs[0])


def _space_batch(function: str, graph: Graph, op: Operator, images: int, grids: int) -> KernelCall:
    image, grid = graph.tensors[images], graph.tensors[grids]
    # Without a height, the one axis of space is the width.
    missing = 4 - len(image.shape)
    image_h, image_w = [1] * missing + list(image.shape[1:-1])
    grid_h, grid_w = [1] * missing + list(grid.shape[1:-1])
    block_h, block_w = [1] * missing + list(op.attributes["block"])
    before_h, before_w = [0] * missing + list(op.attributes["before"])
    fields = {
        "images": image.shape[0], "image_h": image_h, "image_w": image_w, "grid_h": grid_h, "grid_w": grid_w,
        "block_h": block_h, "block_w": block_w, "before_h": before_h, "before_w": before_w,
        "pixel_bytes": image.shape[-1] * ELEMENT_BYTES[image.dtype], "fill": image.zero_point,
    }  # fmt: skip
    return KernelCall(function, ("{params}", "{in0}", "{out}"), ("crest_space_batch_params", fields))
