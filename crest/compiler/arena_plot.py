"""The arena over time as an SVG: one box for each block, operators to the right, addresses upwards.

Boxes may cover each other for the length of one operator: where its result lies over what it has read.
"""

from __future__ import annotations

from html import escape
from typing import Final

from crest.compiler.graph import Graph
from crest.compiler.memory import ArenaPlan, Buffer

_LEFT, _TOP, _RIGHT, _BOTTOM, _HEIGHT = 70, 40, 20, 170, 320
_LEAST_WIDTH, _MOST_WIDTH, _COLUMN = 320, 1400, 36
_COLOURS: Final = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#edc948", "#76b7b2", "#e15759", "#9c755f")
_SCRATCH_COLOUR: Final = "#bab0ac"


def arena_svg(plan: ArenaPlan, graph: Graph) -> str:
    """Draw a plan; hovering over a box names its tensor.

    Args:
        plan: of ``graph``.
        graph: after its passes, in execution order.
    """
    steps = max(len(graph.operators), 1)
    width = min(max(steps * _COLUMN, _LEAST_WIDTH), _MOST_WIDTH)
    column, scale = width / steps, _HEIGHT / max(plan.size_bytes, 1)
    floor = _TOP + _HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + width + _RIGHT}" height="{floor + _BOTTOM}" '
        'font-family="sans-serif" font-size="11">',
        f'<text x="{_LEFT}" y="18">arena {plan.size_bytes} bytes; no plan needs less than '
        f"{plan.lower_bound_bytes} (dashed)</text>",
    ]
    parts += [_box(number, buffer, column, scale) for number, buffer in enumerate(plan.buffers)]
    bound = floor - plan.lower_bound_bytes * scale
    parts.append(
        f'<path d="M{_LEFT} {_TOP}V{floor}H{_LEFT + width}" fill="none" stroke="black"/>'
        f'<path d="M{_LEFT} {bound:.1f}H{_LEFT + width}" stroke="black" stroke-dasharray="5 4"/>'
    )
    for size in (0, plan.size_bytes):
        parts.append(f'<text x="{_LEFT - 6}" y="{floor - size * scale + 4:.1f}" text-anchor="end">{size}</text>')
    for position, op in enumerate(graph.operators):
        x, y = _LEFT + (position + 0.5) * column + 4, floor + 10
        label = f"{position} {escape(op.kind)}"
        parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="end" transform="rotate(-60 {x:.1f} {y})">{label}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _box(number: int, buffer: Buffer, column: float, scale: float) -> str:
    x, width = _LEFT + buffer.first * column, (buffer.last - buffer.first + 1) * column
    height = buffer.size_bytes * scale
    y = _TOP + _HEIGHT - buffer.offset_bytes * scale - height
    colour = _SCRATCH_COLOUR if buffer.is_scratch else _COLOURS[number % len(_COLOURS)]
    words = (
        f"{buffer.owner}: {buffer.size_bytes} bytes at {buffer.offset_bytes}, operators {buffer.first} to {buffer.last}"
    )
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}" '
        f'fill-opacity="0.85" stroke="white" stroke-width="0.5"><title>{escape(words)}</title></rect>'
    )
