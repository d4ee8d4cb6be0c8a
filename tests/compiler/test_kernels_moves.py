"""Operators that move, join and part tensors against TFLM's reference kernels, and batches of more than one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crest.compiler.build import lower_graph
from crest.compiler.host import HostModel
from crest.compiler.importer import import_tflite
from crest.errors import ModelError
from tests.kernel_cases import CASES, check, seeds
from tests.kernels.campaign import tflm
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

dtypes = st.sampled_from(["int8", "float32"])
Q = {"scale": [0.1], "zero_point": [7]}


def tensor(shape, dtype="int8", data=None):
    return TensorSpec(tuple(shape), dtype, data=data, **(Q if dtype == "int8" else {}))


def ints(*values):
    array = np.array(values, np.int32)
    return TensorSpec(array.shape, "int32", data=array)


def sizes(draw, rank, most=5):
    return [draw(st.integers(1, most)) for _ in range(rank)]


@CASES
@given(seeds, st.data(), dtypes)
def test_transpose_equals(seed, data, dtype):
    shape = sizes(data.draw, data.draw(st.integers(1, 4)))
    order = data.draw(st.permutations(range(len(shape))))
    tensors = [tensor(shape, dtype), ints(*order), tensor([shape[axis] for axis in order], dtype)]
    check(write_tflite(tensors, [OpSpec("TRANSPOSE", [0, 1], [2], version=2)], [0], [2]), seed)


@CASES
@given(seeds, st.data(), dtypes)
def test_slice_equals(seed, data, dtype):
    shape = sizes(data.draw, data.draw(st.integers(1, 4)))
    begin = [data.draw(st.integers(0, size - 1)) for size in shape]
    count = [data.draw(st.integers(1, size - start)) for size, start in zip(shape, begin, strict=True)]
    rest = [start + n == size and data.draw(st.booleans()) for size, start, n in zip(shape, begin, count, strict=True)]
    stated = [-1 if open_end else n for n, open_end in zip(count, rest, strict=True)]
    tensors = [tensor(shape, dtype), ints(*begin), ints(*stated), tensor(count, dtype)]
    # A sum of the slice with itself, so that slices which become views are read by a kernel, too.
    tensors.append(tensor(count, dtype))
    ops = [OpSpec("SLICE", [0, 1, 2], [3], version=2), OpSpec("ADD", [3, 3], [4], version=2)]
    check(write_tflite(tensors, ops, [0], [4]), seed)


@CASES
@given(seeds, st.data(), dtypes)
def test_concatenation_equals(seed, data, dtype):
    rng = np.random.default_rng(seed)
    shape = sizes(data.draw, data.draw(st.integers(1, 4)))
    axis = data.draw(st.integers(0, len(shape) - 1))
    lengths = sizes(data.draw, data.draw(st.integers(1, 5)))
    tensors = [tensor([*shape[:axis], n, *shape[axis + 1 :]], dtype) for n in lengths]
    for part in tensors[1:]:
        if data.draw(st.booleans()):
            part.data = rng.integers(-128, 128, part.shape).astype(dtype)
    n = len(tensors)
    tensors.append(tensor([*shape[:axis], sum(lengths), *shape[axis + 1 :]], dtype))
    options = {"axis": axis - len(shape) if data.draw(st.booleans()) else axis}
    inputs = [i for i in range(n) if tensors[i].data is None]
    check(write_tflite(tensors, [OpSpec("CONCATENATION", list(range(n)), [n], options, 2)], inputs, [n]), seed)


@CASES
@given(seeds, st.data(), dtypes, st.booleans())
def test_split_equals(seed, data, dtype, equal):
    shape = sizes(data.draw, data.draw(st.integers(1, 4)))
    axis = data.draw(st.integers(0, len(shape) - 1))
    lengths = [data.draw(st.integers(1, 3))] * data.draw(st.integers(1, 4)) if equal else sizes(data.draw, 3)
    shape[axis] = sum(lengths)
    parts = [tensor([*shape[:axis], n, *shape[axis + 1 :]], dtype) for n in lengths]
    outputs = list(range(3, 3 + len(parts)))
    options = {"num_splits": len(parts)}
    if equal:
        tensors = [TensorSpec((), "int32", data=np.array(axis, np.int32)), tensor(shape, dtype), ints(0)]
        op = OpSpec("SPLIT", [0, 1], outputs, options, version=2)
    else:
        tensors = [ints(*lengths), tensor(shape, dtype), TensorSpec((), "int32", data=np.array(axis, np.int32))]
        op = OpSpec("SPLIT_V", [1, 0, 2], outputs, options, version=2)
    check(write_tflite([*tensors, *parts], [op], [1], outputs), seed)


@CASES
@given(seeds, st.data(), dtypes, st.booleans())
def test_pack_and_unpack_equal(seed, data, dtype, pack):
    shape = sizes(data.draw, data.draw(st.integers(1, 3)))
    axis = data.draw(st.integers(0, len(shape)))
    n = data.draw(st.integers(1, 4))
    parts = [tensor(shape, dtype) for _ in range(n)]
    whole = tensor([*shape[:axis], n, *shape[axis:]], dtype)
    many, options = list(range(n)), {"values_count": n, "num": n, "axis": axis}
    if pack:
        model = write_tflite([*parts, whole], [OpSpec("PACK", many, [n], options, version=2)], many, [n])
    else:
        model = write_tflite([*parts, whole], [OpSpec("UNPACK", [n], many, options, version=2)], [n], many)
    check(model, seed)


@CASES
@given(seeds, st.data(), dtypes)
def test_batches_and_space_equal(seed, data, dtype):
    """Without padding, which the reference leaves undefined."""
    axes = data.draw(st.integers(1, 2))
    images, channels = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 4))
    grid, block = sizes(data.draw, axes), sizes(data.draw, axes, 3)
    space = [size * k for size, k in zip(grid, block, strict=True)]
    crops = [(data.draw(st.integers(0, min(1, size - 1))), 0) for size in space]
    tensors = [
        tensor([images, *space, channels], dtype),
        ints(*block),
        ints(*[(0, 0)] * axes),
        tensor([images * int(np.prod(block)), *grid, channels], dtype),
        ints(*crops),
        tensor([images, *(size - c for size, (c, _) in zip(space, crops, strict=True)), channels], dtype),
    ]
    ops = [
        OpSpec("SPACE_TO_BATCH_ND", [0, 1, 2], [3], version=2),
        OpSpec("BATCH_TO_SPACE_ND", [3, 1, 4], [5], version=2),
    ]
    check(write_tflite(tensors, ops, [0], [3, 5]), seed)


@CASES
@given(seeds, st.data(), dtypes)
def test_space_to_batch_fills_with_zeros(seed, data, dtype):
    space, block = sizes(data.draw, 2, 6), sizes(data.draw, 2, 3)
    before = sizes(data.draw, 2, 3)
    pads = [(b, -(size + b) % k) for size, b, k in zip(space, before, block, strict=True)]
    grid = [(size + sum(p)) // k for size, p, k in zip(space, pads, block, strict=True)]
    out = tensor([int(np.prod(block)), *grid, 2], dtype)
    tensors = [tensor([1, *space, 2], dtype), ints(*block), ints(*pads), out]
    model = write_tflite(tensors, [OpSpec("SPACE_TO_BATCH_ND", [0, 1, 2], [3], version=2)], [0], [3])
    x = np.random.default_rng(seed).integers(-128, 128, tensors[0].shape).astype(dtype)
    padded = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=7 if dtype == "int8" else 0)
    grids = padded.reshape(grid[0], block[0], grid[1], block[1], 2).transpose(1, 3, 0, 2, 4)
    lowered = lower_graph(import_tflite(model))
    with HostModel(lowered.graph, lowered.sources) as host:
        assert host.run_bytes(x.tobytes()) == grids.tobytes()


TIME, CHANNELS, DILATION = 13, 3, 3


def dilated_model(batch, depthwise=False):
    """What converters make of a dilated causal convolution when they do not know the dilation of CONV_2D.

    ``batch`` is what the file states between the changes of shape; 0 makes the convolution with its dilation instead.
    """
    rng = np.random.default_rng(0)
    filters = (1, 1, 2, CHANNELS) if depthwise else (CHANNELS, 1, 2, CHANNELS)
    columns = (TIME + 3 + 2) // DILATION
    tensors = [
        tensor((1, 1, TIME, CHANNELS)),
        ints(1, DILATION),
        ints((0, 0), (3, 2)),
        tensor((batch, 1, columns, CHANNELS) if batch else (1, 1, TIME + 3, CHANNELS)),
        TensorSpec(filters, data=rng.integers(-127, 128, filters, dtype=np.int8), scale=[0.01], axis=3),
        TensorSpec((CHANNELS,), "int32", data=rng.integers(-99, 99, CHANNELS).astype(np.int32), scale=[1e-3]),
        tensor((batch or 1, 1, columns - 1, CHANNELS)),
        ints((0, 0), (0, 2)),
        tensor((1, 1, TIME, CHANNELS)),
        ints((0, 0), (0, 0), (3, 0), (0, 0)),
    ]
    kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    ops = [
        OpSpec("SPACE_TO_BATCH_ND", [0, 1, 2], [3], version=2),
        OpSpec(kind, [3, 4, 5], [6], version=3),
        OpSpec("BATCH_TO_SPACE_ND", [6, 1, 7], [8], version=2),
    ]
    if not batch:
        dilated = OpSpec(kind, [3, 4, 5], [8], {"dilation_w": DILATION}, version=3)
        ops = [OpSpec("PAD", [0, 9], [3], version=2), dilated]
    return write_tflite(tensors, ops, [0], [8])


@pytest.mark.parametrize("depthwise", [False, True])
def test_a_dilated_convolution_of_a_foreign_converter_equals_the_plain_one(depthwise):
    foreign = lower_graph(import_tflite(dilated_model(DILATION, depthwise)))
    oracle = tflm.Interpreter.from_bytes(dilated_model(0, depthwise), arena_size=1 << 16)
    rng = np.random.default_rng(1)
    with HostModel(foreign.graph, foreign.sources) as host:
        for _ in range(20):
            x = rng.integers(-128, 128, (1, 1, TIME, CHANNELS), dtype=np.int8)
            oracle.set_input(x, 0)
            oracle.invoke()
            assert host.run_bytes(x.tobytes()) == oracle.get_output(0).tobytes()


def test_shapes_of_a_dynamic_batch_contradict_themselves_and_are_refused():
    """The reference computes garbage from such files, which state a batch of 1 throughout, without an error."""
    with pytest.raises(ModelError, match=r"operator 0 \(SPACE_TO_BATCH_ND version 2\): output shape") as caught:
        import_tflite(dilated_model(1))
    assert caught.value.hint is not None and "static batch of 1" in caught.value.hint


@CASES
@given(seeds, st.integers(2, 4), st.integers(1, 5), st.integers(1, 9), st.integers(1, 5), st.sampled_from([4, 2]))
def test_dense_layers_take_many_rows(seed, images, rows, depth, units, rank):
    rng = np.random.default_rng(seed)
    shape = (images, rows, 1, depth) if rank == 4 else (images * rows, depth)
    tensors = [
        tensor(shape),
        TensorSpec((units, depth), data=rng.integers(-127, 128, (units, depth), dtype=np.int8), scale=[0.01]),
        TensorSpec((units,), "int32", data=rng.integers(-99, 99, units).astype(np.int32), scale=[1e-3]),
        tensor((*shape[:-1], units)),
    ]
    check(write_tflite(tensors, [OpSpec("FULLY_CONNECTED", [0, 1, 2], [3], version=4)], [0], [3]), seed)


@pytest.mark.parametrize("kind", ["EXPAND_DIMS", "SQUEEZE"])
def test_changes_of_rank_are_views(kind):
    tensors = [tensor((1, 3, 4)), ints(1), tensor((1, 1, 3, 4) if kind == "EXPAND_DIMS" else (3, 4))]
    tensors.append(tensor(tensors[2].shape))
    inputs = [0, 1] if kind == "EXPAND_DIMS" else [0]
    model = write_tflite(tensors, [OpSpec(kind, inputs, [2]), OpSpec("ADD", [2, 2], [3], version=2)], [0], [3])
    assert lower_graph(import_tflite(model)).graph.histogram() == {"VIEW": 1, "ADD": 1}
    check(model, 0)


def test_a_sum_is_not_written_over_an_operand_that_is_read_again_elsewhere():
    """The right operand, which repeats, is a view of the left one's first bytes."""
    shape = (1, 4, 3)
    tensors = [
        tensor(shape), tensor(shape), ints(0, 0, 0), ints(1, 1, 3), tensor((1, 1, 3)), tensor(shape), tensor(shape),
    ]  # fmt: skip
    ops = [
        OpSpec("ADD", [0, 0], [1], version=2),
        OpSpec("SLICE", [1, 2, 3], [4], version=2),
        OpSpec("SUB", [1, 4], [5], version=2),
        OpSpec("ADD", [5, 5], [6], version=2),
    ]
    check(write_tflite(tensors, ops, [0], [6]), 0)
    # The same, where the view is the only operand of its bytes.
    ops[2] = OpSpec("SUB", [0, 4], [5], version=2)
    check(write_tflite(tensors, ops, [0], [6]), 0)


def test_malformed_moves_are_refused_with_index_and_name():
    a, axis = tensor((1, 2, 3)), TensorSpec((), "int32", data=np.array(1, np.int32))
    for op, tensors, problem in (
        (OpSpec("TRANSPOSE", [0, 1], [2]), [a, ints(0, 2, 2), a], "no permutation"),
        (OpSpec("TRANSPOSE", [0, 1], [2]), [a, ints(0, 2, 1), a], r"contradicts the operator, which makes \[1, 3, 2\]"),
        (OpSpec("SLICE", [0, 1, 2], [3]), [a, ints(0, 1, 0), ints(1, 2, 3), a], "selects what does not exist"),
        (OpSpec("SLICE", [0, 1, 2], [3]), [a, ints(0, 0), ints(1, 2), a], "must cover every axis"),
        (OpSpec("SPLIT", [1, 0], [2, 2]), [a, axis, tensor((1, 1, 3))], "writes tensor 2 once more"),
        (OpSpec("SPLIT", [1, 0], [2]), [a, axis, tensor((1, 1, 3))], "do not make up the whole"),
        (OpSpec("SPLIT", [1, 0], [2]), [a, ints(3), a], "axis 3 does not exist"),
        (OpSpec("SPLIT_V", [0, 1, 2], [3]), [a, ints(1), axis, a], "contradict the sizes"),
        (OpSpec("CONCATENATION", [0, 0], [1], {"axis": 1}), [a, tensor((1, 4, 4))], "contradicts"),
        (OpSpec("CONCATENATION", [0], [1], {"axis": 5}), [a, a], "axis 5 does not exist"),
        (OpSpec("CONCATENATION", [0], [1], {"axis": 1, "activation": "relu"}), [a, a], "fused activation"),
        (OpSpec("PACK", [0, 0], [1], {"axis": 0}), [a, tensor((3, 1, 2, 3))], "do not make up the whole"),
        (OpSpec("BATCH_TO_SPACE_ND", [0, 1, 2], [3]), [a, ints(2), ints((0, 0)), a], "batch 1 is no multiple"),
        (OpSpec("SPACE_TO_BATCH_ND", [0, 1, 2], [3]), [a, ints(2, 2), ints((0, 0)), a], "block shape is malformed"),
        (OpSpec("EXPAND_DIMS", [0, 1], [2]), [a, ints(0), tensor((1, 3, 2))], "contradicts"),
    ):
        place = rf"operator 0 \({op.kind}[ )].*{problem}"
        with pytest.raises(ModelError, match=place):
            import_tflite(write_tflite(tensors, [op], [0], [len(tensors) - 1]))


def test_scales_that_differ_are_refused():
    other = TensorSpec((1, 2, 3), scale=[0.2], zero_point=[7])
    op = OpSpec("CONCATENATION", [0, 0], [1], {"axis": 1}, version=2)
    with pytest.raises(ModelError, match="must share scale and zero point"):
        import_tflite(write_tflite([other, tensor((1, 4, 3))], [op], [0], [1]))
