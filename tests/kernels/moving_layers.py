"""Generated layers that move, join and part tensors."""

from __future__ import annotations

import math

import numpy as np

from tests.kernels.registry import Draw, layers, one_operator, quantized, shape_of
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite


def ints(*values) -> TensorSpec:
    array = np.array(values, np.int32)
    return TensorSpec(array.shape, "int32", data=array)


def number(value: int) -> TensorSpec:
    return TensorSpec((), "int32", data=np.array(value, np.int32))


def alike(draw: Draw, *shapes: tuple[int, ...]) -> list[TensorSpec]:
    """Tensors of one type, scale and zero point."""
    dtype = draw.choice(("int8", "int8", "float32"))
    q = quantized(draw, dtype, 0.1)
    return [TensorSpec(shape, dtype, **q) for shape in shapes]


def is_view(chosen: np.ndarray) -> bool:
    """Whether elements, by their numbers, lie side by side in order."""
    return bool((np.diff(chosen.reshape(-1)) == 1).all())


@layers("crest_pad")
def pad(draw: Draw) -> bytes:
    shape = shape_of(draw, 800)
    pads = [(draw.randint(0, 3), draw.randint(0, 3)) for _ in shape]
    if draw.chance(0.5):
        pads[0] = (0, 0)
    out = tuple(size + sum(pad) for size, pad in zip(shape, pads, strict=True))
    return one_operator("PAD", alike(draw, shape, out), [ints(*pads)])


@layers("crest_gather")
def gather(draw: Draw) -> bytes:
    """Never one whose elements are neighbours, for that is a view."""
    kind = draw.choice(("STRIDED_SLICE", "SLICE", "TRANSPOSE"))
    while True:
        shape = shape_of(draw)
        numbers = np.arange(math.prod(shape)).reshape(shape)
        if kind == "TRANSPOSE":
            order = draw.sample(range(4), 4)
            chosen, constants = numbers.transpose(order), [ints(*order)]
        else:
            begin = [draw.randrange(size) for size in shape]
            end = [draw.randint(first + 1, size) for first, size in zip(begin, shape, strict=True)]
            steps = [draw.randint(1, 3) if kind == "STRIDED_SLICE" else 1 for _ in shape]
            chosen = numbers[tuple(slice(*each) for each in zip(begin, end, steps, strict=True))]
            constants = [ints(*begin), ints(*end), ints(*steps)]
            if kind == "SLICE":
                constants = [ints(*begin), ints(*chosen.shape)]
        if not is_view(chosen):
            return one_operator(kind, alike(draw, shape, chosen.shape), constants)


def cut(draw: Draw) -> tuple[tuple[int, ...], int, list[int]]:
    """A shape, an axis of it, and the lengths of pieces along it: more than one, and not all the rest is 1."""
    while True:
        shape = shape_of(draw, 1000)[4 - draw.randint(1, 4) :]
        axis = draw.randrange(len(shape))
        lengths = [draw.randint(1, 5) for _ in range(draw.randint(2, 6))]
        whole = (*shape[:axis], sum(lengths), *shape[axis + 1 :])
        if math.prod(whole) <= 4000:
            return whole, axis, lengths


def pieces(whole: tuple[int, ...], axis: int, lengths: list[int]) -> list[tuple[int, ...]]:
    return [(*whole[:axis], length, *whole[axis + 1 :]) for length in lengths]


@layers("crest_concatenate")
def concatenate(draw: Draw) -> bytes:
    whole, axis, lengths = cut(draw)
    shapes = pieces(whole, axis, lengths)
    kind, options = "CONCATENATION", {"axis": axis}
    if draw.chance(0.3):
        shapes = [shapes[0]] * len(lengths)
        kind, options = "PACK", {"axis": axis, "values_count": len(lengths)}
        whole = (*shapes[0][:axis], len(lengths), *shapes[0][axis:])
    tensors = alike(draw, *shapes, whole)
    for part in tensors[1:-1]:
        if draw.chance(0.2):
            part.data = draw.values(part.shape, part.dtype)
    n = len(shapes)
    inputs = [i for i in range(n) if tensors[i].data is None]
    return write_tflite(tensors, [OpSpec(kind, list(range(n)), [n], options, 2)], inputs, [n])


@layers("crest_split")
def split(draw: Draw) -> bytes:
    whole, axis, lengths = cut(draw)
    n, kind = len(lengths), draw.choice(("SPLIT", "SPLIT_V", "UNPACK"))
    options = {"num_splits": n}
    if kind == "SPLIT_V":
        operands, constants = [0, n + 1, n + 2], [ints(*lengths), number(axis)]
    elif kind == "SPLIT":
        whole = (*whole[:axis], n * lengths[0], *whole[axis + 1 :])
        lengths, operands, constants = [lengths[0]] * n, [n + 1, 0], [number(axis)]
    else:
        whole = (*whole[:axis], n, *whole[axis + 1 :])
        lengths, operands, constants, options = [1] * n, [0], [], {"num": n, "axis": axis}
    shapes = pieces(whole, axis, lengths)
    if kind == "UNPACK":
        shapes = [(*shape[:axis], *shape[axis + 1 :]) for shape in shapes]
    outputs = list(range(1, n + 1))
    tensors = [*alike(draw, whole, *shapes), *constants]
    return write_tflite(tensors, [OpSpec(kind, operands, outputs, options, 2)], [0], outputs)


def space_and_batch(draw: Draw) -> tuple[tuple[int, ...], tuple[int, ...], list[int]]:
    """Shapes of images and of grids, and the block. Without padding, which the reference leaves undefined."""
    axes, images, channels = draw.randint(1, 2), draw.randint(1, 2), draw.randint(1, 9)
    grid, block = [draw.randint(1, 5) for _ in range(axes)], [draw.randint(1, 3) for _ in range(axes)]
    space = [size * k for size, k in zip(grid, block, strict=True)]
    return (images, *space, channels), (images * math.prod(block), *grid, channels), block


@layers("crest_space_to_batch")
def space_to_batch(draw: Draw) -> bytes:
    image, grid, block = space_and_batch(draw)
    constants = [ints(*block), ints(*[(0, 0)] * len(block))]
    return one_operator("SPACE_TO_BATCH_ND", alike(draw, image, grid), constants)


@layers("crest_batch_to_space")
def batch_to_space(draw: Draw) -> bytes:
    image, grid, block = space_and_batch(draw)
    crops = [(draw.randint(0, 2), draw.randint(0, 2)) for _ in block]
    crops = [crop if sum(crop) < size else (0, 0) for crop, size in zip(crops, image[1:-1], strict=True)]
    out = (image[0], *(size - sum(crop) for size, crop in zip(image[1:-1], crops, strict=True)), image[-1])
    return one_operator("BATCH_TO_SPACE_ND", alike(draw, grid, out), [ints(*block), ints(*crops)])
