"""Generators of single layers. A new kernel needs one function here: it draws a model and names the kernels it reaches.

@layers("crest_relu_s8")
def relu_s8(draw): ...
    return write_tflite(tensors, [OpSpec("RELU", [0], [1])], [0], [1])
"""

from __future__ import annotations

import math
import os
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

SEED_VARIABLE = "CREST_TEST_SEED"
SEED = int(os.environ.get(SEED_VARIABLE) or secrets.randbelow(1 << 31))
"""Of all generated layers: another one every time, unless the environment fixes it."""


class Draw(random.Random):
    """Random choices of one case; ``arrays`` draws whole arrays."""

    def __init__(self, generator: str, number: int, seed: int = SEED) -> None:
        super().__init__(f"{seed} {generator} {number}")
        self.arrays = np.random.default_rng(self.getrandbits(64))

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def zero_point(self) -> int:
        return self.choice((-128, 127, 0, *(self.randint(-128, 127) for _ in range(5))))

    def scale(self, low: float, high: float) -> float:
        """A float32, its logarithm evenly distributed."""
        return float(np.float32(math.exp(self.uniform(math.log(low), math.log(high)))))

    def activation(self) -> str:
        return self.choice(("none", "relu", "relu6", "relu_n1_to_1"))

    def size(self, largest: int) -> int:
        """A small number, mostly an odd one, up to ``largest``."""
        return min(largest, self.choice((1, 1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 13)))

    def channels(self) -> int:
        return self.choice((1, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 16, 24, 32, 33, 64, 64, 128))

    def values(self, shape: tuple[int, ...], dtype: str = "int8") -> np.ndarray:
        """Elements of a tensor: anything, or the largest and smallest, or all the same, or mostly zeros."""
        if dtype == "float32":
            return self.arrays.standard_normal(shape).astype(np.float32)
        limits = np.iinfo(dtype)
        style = self.choice(("any", "any", "any", "extreme", "same", "sparse"))
        if style == "extreme":
            return self.arrays.choice(np.array([limits.min, limits.max], dtype), size=shape)
        if style == "same":
            return np.full(shape, self.choice((limits.min, limits.max, self.randint(limits.min, limits.max))), dtype)
        values = self.arrays.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        return values * (self.arrays.random(shape) < 0.1).astype(dtype) if style == "sparse" else values


@dataclass(frozen=True)
class Generator:
    """Draws .tflite models of one layer, which together reach some kernels."""

    name: str
    kernels: tuple[str, ...]
    draw: Callable[[Draw], bytes]


GENERATORS: dict[str, Generator] = {}


def allowed_activation(activation: str, out_scale: float) -> str:
    """TFLM refuses a bound of 6 or 1 that is no int32."""
    return "relu" if activation.startswith("relu") and out_scale < 6 / (2**31 - 2**8) else activation


def shape_of(draw: Draw, elements: int = 3000) -> tuple[int, ...]:
    """Four dimensions, the first of them 1."""
    while True:
        shape = (1, draw.size(9), draw.size(13), draw.channels())
        if math.prod(shape) <= elements:
            return shape


def quantized(draw: Draw, dtype: str, scale: float) -> dict:
    """How a tensor of that scale is quantized, if it is."""
    if dtype == "float32":
        return {}
    return {"scale": [float(np.float32(scale))], "zero_point": [draw.zero_point() if dtype == "int8" else 0]}


def one_operator(
    kind: str, tensors: list[TensorSpec], constants: Sequence[TensorSpec] = (), options: dict | None = None
) -> bytes:
    """A model of one operator: its operands, then its result; behind the operands come those that are constant."""
    activations, everything = len(tensors) - 1, [*tensors, *constants]
    inputs = list(range(activations))
    operands = inputs + list(range(len(tensors), len(everything)))
    version = 1 if kind == "HARD_SWISH" else 2
    op = OpSpec(kind, operands, [activations], options or {}, version)
    return write_tflite(everything, [op], inputs, [activations])


def register(name: str, draw: Callable[[Draw], bytes]) -> None:
    """Register a generator that bears the name of its only kernel."""
    GENERATORS[name] = Generator(name, (f"crest_{name}",), draw)


def layers(*kernels: str) -> Callable[[Callable[[Draw], bytes]], Callable[[Draw], bytes]]:
    """Register a generator of layers that reach these kernels on one core or another."""

    def decorated(draw: Callable[[Draw], bytes]) -> Callable[[Draw], bytes]:
        GENERATORS[draw.__name__] = Generator(draw.__name__, kernels, draw)
        return draw

    return decorated
