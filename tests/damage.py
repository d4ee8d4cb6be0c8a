"""Damaged .tflite files: truncated, with flipped bits, with sizes and offsets that no honest file has."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import tflite

from crest.compiler.build import lower_graph
from crest.compiler.importer import import_tflite
from crest.errors import CrestError
from tests.kernels import generators  # noqa: F401 - it registers them
from tests.kernels.machines import CORES
from tests.kernels.registry import GENERATORS, Draw
from tests.models_families import elementwise_model, float_model, moves_model
from tests.models_small import dense_model, residual_model

# Emitted only where that takes no time.
_EMITTED_WEIGHT_BYTES = 20_000
_MODELS = (dense_model, residual_model, elementwise_model, moves_model, float_model)
_HOSTILE = (
    0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 1 << 24, 1 << 26, (1 << 26) + 1, 1 << 30,
    0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF, 0x7F800000, 0x7FC00000, 0x00000001, 0x7F7FFFFF,
)  # fmt: skip


def small_model(rng: random.Random) -> bytes:
    """A model of one generated layer, or one of a few layers."""
    if rng.random() < 0.2:
        return rng.choice(_MODELS)()
    generator = rng.choice(list(GENERATORS.values()))
    return generator.draw(Draw(generator.name, rng.randrange(1 << 30), seed=0))


def damage(model: bytes, rng: random.Random) -> bytes:
    """Damage a file in one to four ways, mostly where it holds no weights."""
    damaged = bytearray(model)
    spans = _spans(model)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        if damaged:
            rng.choice(_WAYS)(damaged, _place(damaged, spans, rng), rng)
    return bytes(damaged)


def try_model(data: bytes, core_number: int) -> bool:
    """Import and lower a file; whether it was accepted. Anything but a typed error passes through."""
    try:
        graph = import_tflite(data)
        lowered = lower_graph(graph, CORES[core_number % len(CORES)])
    except CrestError:
        return False
    if sum(tensor.size_bytes for tensor in graph.constants()) <= _EMITTED_WEIGHT_BYTES:
        assert lowered.sources.model
    assert all(t.data is None or t.data.size == np.prod(t.shape) for t in graph.tensors)
    return True


@lru_cache(maxsize=32)
def _spans(model: bytes) -> tuple[tuple[int, int], ...]:
    """Where the file holds something else than the content of large buffers."""
    parsed = tflite.Model.GetRootAs(model, 0)
    weights = []
    for index in range(parsed.BuffersLength()):
        buffer = parsed.Buffers(index)
        if buffer.DataLength() > 64:
            begin = buffer._tab.Vector(buffer._tab.Offset(4))
            weights.append((begin, begin + buffer.DataLength()))
    spans, at = [], 0
    for begin, end in sorted(weights):
        spans.append((at, begin))
        at = end
    return tuple(span for span in (*spans, (at, len(model))) if span[0] < span[1])


def _place(damaged: bytearray, spans: tuple[tuple[int, int], ...], rng: random.Random) -> int:
    begin, end = rng.choices(spans, [end - begin for begin, end in spans])[0]
    at = rng.randrange(begin, end) if rng.random() < 0.95 else rng.randrange(len(damaged))
    return min(at, len(damaged) - 1)


def _truncate(damaged: bytearray, at: int, rng: random.Random) -> None:
    del damaged[at if rng.random() < 0.5 else rng.randrange(len(damaged)) :]


def _flip_bits(damaged: bytearray, at: int, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        damaged[at] ^= 1 << rng.randrange(8)
        at = min(max(at + rng.randint(-16, 16), 0), len(damaged) - 1)


def _overwrite_byte(damaged: bytearray, at: int, rng: random.Random) -> None:
    damaged[at] = rng.randrange(256)


def _hostile_word(damaged: bytearray, at: int, rng: random.Random) -> None:
    """Sizes, offsets, scales and zero points are words; they may also be only a little off."""
    at -= at % 4
    if at + 4 > len(damaged):
        return
    (old,) = struct.unpack_from("<I", damaged, at)
    near = (old + rng.choice((-64, -8, -4, -1, 1, 4, 8, 64, 1024))) % (1 << 32)
    struct.pack_into("<I", damaged, at, rng.choice((rng.choice(_HOSTILE), near, len(damaged) - at)))


def _hostile_halfword(damaged: bytearray, at: int, rng: random.Random) -> None:
    """Tables of fields hold halfwords."""
    at -= at % 2
    if at + 2 <= len(damaged):
        struct.pack_into("<H", damaged, at, rng.choice(_HOSTILE) & 0xFFFF)


def _move_block(damaged: bytearray, at: int, rng: random.Random) -> None:
    """Insert, repeat or remove some bytes, or copy them over others."""
    size = rng.choice((1, 2, 4, 8, 16, 64))
    block = damaged[at : at + size]
    to = rng.randrange(len(damaged))
    way = rng.randrange(3)
    if way == 0:
        damaged[at:at] = block
    elif way == 1:
        del damaged[at : at + size]
    else:
        damaged[to : to + len(block)] = block


_WAYS: tuple[Callable[[bytearray, int, random.Random], None], ...] = (
    _truncate, _flip_bits, _flip_bits, _overwrite_byte, _hostile_word, _hostile_word, _hostile_word, _hostile_halfword,
    _move_block,
)  # fmt: skip
