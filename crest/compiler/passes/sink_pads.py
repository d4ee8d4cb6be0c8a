"""Moves a PAD behind a RESHAPE that adds or drops axes of length 1, to where a convolution can take it in.

Converters leave the pad of a one-dimensional causal convolution in front of the reshape to two dimensions.
"""

from __future__ import annotations

from dataclasses import replace

from crest.compiler.graph import Graph
from crest.compiler.passes.axes import matching_axes
from crest.compiler.passes.editing import Editor
from crest.compiler.passes.kinds import RESHAPES


def sink_pads(graph: Graph) -> tuple[Graph, list[str]]:
    """Swap each PAD with a RESHAPE that is its only reader; the values keep their order."""
    editor, moved = Editor(graph), []
    editor.operators = list(graph.operators)
    for position, pad in enumerate(graph.operators):
        readers = graph.consumers(pad.outputs[0])
        if pad.kind != "PAD" or len(readers) != 1 or pad.outputs[0] in graph.outputs:
            continue
        reshape = graph.operators[readers[0]]
        source, padded, out = (graph.tensors[i] for i in (pad.inputs[0], pad.outputs[0], reshape.outputs[0]))
        axes = matching_axes(padded.shape, out.shape) if reshape.kind in RESHAPES else None
        if axes is None:
            continue
        shape, paddings = [1] * len(out.shape), [(0, 0)] * len(out.shape)
        for before, behind in axes:
            shape[behind], paddings[behind] = source.shape[before], pad.attributes["paddings"][before]
        # The tensor between the two is the unpadded one now.
        editor.tensors[pad.outputs[0]] = replace(padded, shape=tuple(shape), quantization=source.quantization)
        editor.operators[position] = replace(reshape, inputs=(pad.inputs[0], *reshape.inputs[1:]), outputs=pad.outputs)
        # The table of the file no longer applies, and nobody reads it: paddings are attributes.
        moved_pad = replace(pad, inputs=pad.outputs, outputs=reshape.outputs)
        editor.operators[readers[0]] = moved_pad.with_attributes(paddings=tuple(paddings))
        moved.append(f"operator {position} (PAD): moved behind operator {readers[0]} ({reshape.kind})")
    return editor.graph(), moved
