"""The table of supported operators, from what the importer reads and the lowering has kernels for."""

from __future__ import annotations

from typing import Final

from crest.compiler.lowering import kernel_types
from crest.compiler.operators import READERS, Reader

_HEAD: Final = """\
# Operators

What `crest compile` and `crest measure` read from a .tflite. Anything else is refused with the index and the name of
the operator. Results equal TFLite Micro's reference kernels: int8 and int16 bit for bit, float32 within 1e-5. A type
is that of the output; int16 goes with int8 weights. Versions are those of the .tflite schema; the lower ones are
supported, too.

| operator | types | version | inputs | outputs | limits |
|---|---|---|---|---|---|
"""
_TAIL: Final = """
Fused activation: none, relu, relu_n1_to_1 or relu6. Same scale: quantized inputs and outputs share
scale and zero point.

Operators that broadcast walk along at most 4 axes, those that move elements along at most 5, once neighbouring axes are
merged and axes of length 1 are left out.

All of them: static shapes; int8 and int16 with one scale for each tensor, filters with one for each output channel;
int32 only as constant arguments; no hybrid types. A file whose shapes contradict its operators is refused. Such files
come from converters that were given a dynamic batch.
"""


def operator_table() -> str:
    """The table in Markdown, as ``docs/operators.md`` holds it."""
    return _HEAD + "".join(_row(kind, reader) for kind, reader in sorted(READERS.items())) + _TAIL


def _row(kind: str, reader: Reader) -> str:
    types = ", ".join(kernel_types(kind))
    cells = (kind, types, str(reader.max_version), _span(reader.inputs), _span(reader.outputs), reader.limits)
    return f"| {' | '.join(cells)} |\n"


def _span(counts: range) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
