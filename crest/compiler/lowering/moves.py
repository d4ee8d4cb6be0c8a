"""Lowering of operators that only move elements."""

from __future__ import annotations

import numpy as np

from crest.compiler.graph import ELEMENT_BYTES, Graph, Operator
from crest.compiler.kernel_call import KernelCall
from crest.errors import ModelError


def _four(values: tuple[int, ...], fill: int) -> list[int]:
    if len(values) > 4:
        raise ModelError(f"tensors of rank {len(values)} are not supported (up to 4 are)")
    return [fill] * (4 - len(values)) + list(values)


def strided_slice(graph: Graph, op: Operator) -> KernelCall:
    """A box of the input, with steps."""
    source = graph.tensors[op.inputs[0]]
    shape = _four(source.shape, 1)
    begin = np.array(_four(op.attributes["begin"], 0))
    pitch = np.array([int(np.prod(shape[axis + 1 :])) for axis in range(4)])
    fields = {
        "count": _four(op.attributes["count"], 1),
        "stride": [int(s) for s in np.array(_four(op.attributes["strides"], 1)) * pitch],
        "offset": int((begin * pitch).sum()),
        "element_bytes": ELEMENT_BYTES[source.dtype],
    }
    return KernelCall("crest_slice", ("{params}", "{in0}", "{out}"), params=("crest_slice_params", fields))


def pad(graph: Graph, op: Operator) -> KernelCall:
    """The input within a larger, filled tensor."""
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    fields = {
        "in": _four(source.shape, 1),
        "before": _four(tuple(before for before, _ in op.attributes["paddings"]), 0),
        "out": _four(out.shape, 1),
        "element_bytes": ELEMENT_BYTES[out.dtype],
        "fill": out.zero_point,
    }
    return KernelCall("crest_pad", ("{params}", "{in0}", "{out}"), params=("crest_pad_params", fields))
