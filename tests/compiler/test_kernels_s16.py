"""Every int16 kernel against TFLM's reference kernels: int16 activations, int8 weights, biases of both types."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crest.backends.emulated import EmulatedBackend
from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.errors import ModelError
from crest.targets import load_target
from tests.kernel_cases import CASES, activations, check, convolutions, scales, seeds, weighted_model
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

TARGET = load_target("nano33ble")
CORES = [("cortex-m0plus", "none"), ("cortex-m4", "single"), ("cortex-m7", "double")]


def kernels_of(model):
    return [call.function for call in lower_graph(import_tflite(model)).calls if call is not None]


def emulate(model, core, fpu):
    """Run golden inputs on another core; the board around it stays that of the M4."""
    target = TARGET.model_copy(update={"core": core, "fpu": fpu})
    program = build_program(lower_graph(import_tflite(model), target.core), target, target_toolchain("zig", target))
    assert EmulatedBackend().run(program).golden_pairs_checked == len(program.golden)


def ints(values):
    array = np.array(values, np.int32)
    return TensorSpec(array.shape, "int32", data=array)


@CASES
@given(convolutions("int16"))
def test_conv2d_is_bit_exact(case):
    check(*case)


@CASES
@given(convolutions("int16", depthwise=True))
def test_depthwise_is_bit_exact(case):
    check(*case)


@CASES
@given(
    seeds, st.integers(1, 70), st.integers(1, 9), activations, st.booleans(), st.sampled_from(["int32", "int64", None])
)
def test_fully_connected_is_bit_exact(seed, depth, units, activation, per_channel, bias_type):
    model = weighted_model(
        np.random.default_rng(seed), "FULLY_CONNECTED", (1, depth), (units, depth), (1, units),
        {"activation": activation}, "int16", per_channel, 0, 0, bias_type is not None, bias_type,
    )  # fmt: skip
    check(model, seed)


def random_layer(rng, first):
    """Tensors, numbered from ``first`` on, and operator of a layer with weights of random shape."""
    kind = str(rng.choice(["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]))
    depthwise, dense = kind == "DEPTHWISE_CONV_2D", kind == "FULLY_CONNECTED"
    in_c, units = int(rng.integers(1, 14)), int(rng.integers(1, 9))
    in_h, in_w, k_h, k_w, stride, dilation = (1 if dense else int(rng.integers(1, n)) for n in (6, 7, 4, 5, 4, 4))
    if depthwise:
        units = in_c * int(rng.choice([1, 1, 2]))
    filters = (1 if depthwise else units, k_h, k_w, units if depthwise else in_c)
    shapes = (1, in_h, in_w, in_c), filters, (1, -(-in_h // stride), -(-in_w // stride), units)
    if dense:
        shapes = (1, in_c), (units, in_c), (1, units)
    scale = scales(rng, units, 1e-3, 0.05)
    out_scale = float(np.float32(max(scale) * rng.uniform(0.003, 0.3)))
    bias_type = "int64" if depthwise else str(rng.choice(["int32", "int64"]))
    tensors = [
        TensorSpec(shapes[0], "int16", scale=[1e-4]),
        TensorSpec(shapes[1], scale=scale, data=rng.integers(-127, 128, shapes[1], dtype=np.int8), axis=3 * depthwise),
        TensorSpec((units,), bias_type, data=rng.integers(-(2**20), 2**20, units).astype(bias_type)),
        TensorSpec(shapes[2], "int16", scale=[out_scale]),
    ]
    options = {
        "padding": 0, "stride_h": stride, "stride_w": stride, "dilation_h": dilation, "dilation_w": dilation,
        "multiplier": units // in_c, "activation": str(rng.choice(["none", "relu", "relu6"])),
    }  # fmt: skip
    return tensors, OpSpec(kind, [first, first + 1, first + 2], [first + 3], options, version=3)


@pytest.mark.parametrize("seed", range(2))
def test_many_layers_are_exact_on_host_and_boards(seed):
    rng = np.random.default_rng(seed)
    tensors, ops = [], []
    for _ in range(24):
        more, op = random_layer(rng, len(tensors))
        tensors += more
        ops.append(op)
    model = write_tflite(tensors, ops, [op.inputs[0] for op in ops], [op.outputs[0] for op in ops])
    check(model, seed)
    for core, fpu in CORES:
        emulate(model, core, fpu)


def extreme_layer(kind, bias_type, out_scale, bias, taps):
    """Weights of one sign, so that inputs at the end of their range give the largest sums."""
    shape = {"FULLY_CONNECTED": (3, taps), "CONV_2D": (3, 1, 1, taps), "DEPTHWISE_CONV_2D": (1, 1, taps, 3)}[kind]
    depthwise = kind == "DEPTHWISE_CONV_2D"
    weights = np.full(shape, 127, np.int8)
    weights[..., -1] = -128 if depthwise else 3
    source = {"FULLY_CONNECTED": (1, taps), "CONV_2D": (1, 1, 1, taps), "DEPTHWISE_CONV_2D": (1, 1, taps, 3)}[kind]
    tensors = [
        TensorSpec(source, "int16", scale=[1e-4]),
        TensorSpec(shape, scale=[4e-3], data=weights),
        TensorSpec((3,), bias_type, data=np.array([bias, -bias, 100], bias_type), scale=[4e-7]),
        TensorSpec(
            (1, 3) if kind == "FULLY_CONNECTED" else (1, 1, 1, 3), "int16", scale=[float(np.float32(out_scale))]
        ),
    ]
    return write_tflite(tensors, [OpSpec(kind, [0, 1, 2], [3], {"padding": 1}, version=3)], [0], [3])


@pytest.mark.parametrize("kind", ["FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"])
@pytest.mark.parametrize(
    ("out_scale", "bias", "taps", "is_wide"),
    [
        (1e-4, 1000, 500, False),  # sums just within 32 bits
        (1e-1, 1000, 600, True),  # sums just beyond
        (1e-1, 2**40, 7, True),
        (1.0, -(2**45), 7, True),
        (4e-3, -(2**31) + 2**25, 7, False),
        (1e-7, 3, 1, True),  # a factor beyond 1
        (5e-9, 3, 1, True),
        (1e-1, 2**20, 9, True),  # a factor below 2**-17
    ],
)
def test_wide_sums_and_extreme_factors_are_exact(kind, out_scale, bias, taps, is_wide):
    model = extreme_layer(kind, "int64", out_scale, bias, taps)
    assert ("_wide_" in kernels_of(model)[0]) == is_wide
    check(model, 5)
    for core, fpu in CORES:
        emulate(model, core, fpu)


@pytest.mark.parametrize("kind", ["FULLY_CONNECTED", "CONV_2D"])
@pytest.mark.parametrize("bias", [77, 2**31 - 1])
@pytest.mark.parametrize("out_scale", [1e-1, 1e-4, 1e-8])
def test_a_bias_of_32_bits_sums_modulo_2_to_32_and_rounds_twice(kind, out_scale, bias):
    model = extreme_layer(kind, "int32", out_scale, bias, 600)
    assert "_narrow_" in kernels_of(model)[0]
    check(model, 5)
    for core, fpu in CORES:
        emulate(model, core, fpu)


@pytest.mark.parametrize("bias_type", ["int32", "int64"])
def test_a_channel_without_weights_keeps_its_bias_whatever_its_scale(bias_type):
    filters = np.zeros((3, 1, 1, 2), np.int8)
    filters[1] = 5
    bias = np.array([2**31 - 1, 100, -(2**30)], bias_type)
    tensors = [
        TensorSpec((1, 2, 2, 2), "int16", scale=[1e-4]),
        TensorSpec(filters.shape, data=filters, scale=[1e-10, 0.01, 1e-9]),
        TensorSpec((3,), bias_type, data=bias, scale=[1e-14, 1e-6, 1e-13]),
        TensorSpec((1, 2, 2, 3), "int16", scale=[1e-5]),
    ]
    check(write_tflite(tensors, [OpSpec("CONV_2D", [0, 1, 2], [3], version=3)], [0], [3]), 0)


@CASES
@given(
    seeds, st.sampled_from(["ADD", "SUB", "MUL"]), activations, st.booleans(), st.booleans(),
    st.sampled_from([((1, 3, 5, 2),) * 2, ((1, 3, 5, 2), (1, 1, 1, 2)), ((1, 1, 5, 1), (1, 3, 1, 2))]),
)  # fmt: skip
def test_sums_and_products_are_bit_exact(seed, kind, activation, same_scale, is_constant, shapes):
    rng = np.random.default_rng(seed)
    left, right = scales(rng, 2, 1e-6, 1e-3)
    right = left if same_scale else right
    largest = left * right * 32768 if kind == "MUL" else max(left, right)
    out = float(np.float32(largest * rng.uniform(0.3, 3)))
    values = rng.integers(-(2**15), 2**15, shapes[1]).astype(np.int16) if is_constant else None
    tensors = [
        TensorSpec(shapes[0], "int16", scale=[left]),
        TensorSpec(shapes[1], "int16", scale=[right], data=values),
        TensorSpec(np.broadcast_shapes(*shapes), "int16", scale=[out]),
    ]
    op = OpSpec(kind, [0, 1], [2], {"activation": activation}, version=2)
    check(write_tflite(tensors, [op], [0] if is_constant else [0, 1], [2]), seed)


@CASES
@given(seeds, st.integers(1, 40))
def test_relu_is_bit_exact(seed, n):
    tensors = [TensorSpec((1, 1, n, 2), "int16", scale=[s]) for s in scales(np.random.default_rng(seed), 2, 1e-5, 1e-3)]
    check(write_tflite(tensors, [OpSpec("RELU", [0], [1], version=2)], [0], [1]), seed)


@CASES
@given(
    seeds, st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]), st.tuples(*[st.integers(1, 7)] * 3),
    st.tuples(st.integers(1, 4), st.integers(1, 4)), st.tuples(st.integers(1, 3), st.integers(1, 3)), st.booleans(),
    activations,
)  # fmt: skip
def test_pools_are_bit_exact(seed, kind, sizes, kernel, stride, same, activation):
    h, w, channels = sizes
    if not same:
        kernel = (min(kernel[0], h), min(kernel[1], w))
    reach = [size if same else size - k + 1 for size, k in zip((h, w), kernel, strict=True)]
    size = [-(-r // s) for r, s in zip(reach, stride, strict=True)]
    options = {
        "padding": 0 if same else 1, "stride_h": stride[0], "stride_w": stride[1], "filter_h": kernel[0],
        "filter_w": kernel[1], "activation": activation,
    }  # fmt: skip
    tensors = [TensorSpec(shape, "int16", scale=[5e-4]) for shape in ((1, h, w, channels), (1, *size, channels))]
    check(write_tflite(tensors, [OpSpec(kind, [0], [1], options, version=2)], [0], [1]), seed)


@CASES
@given(
    seeds, st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 9)),
    st.sampled_from([(1, 2), (2, 1), (-3, -2), (1,), (2,), (3,), (1, 2, 3)]), st.booleans(),
)  # fmt: skip
def test_mean_is_bit_exact(seed, sizes, axes, keep_dims):
    rng = np.random.default_rng(seed)
    averaged = {axis % 4 for axis in axes}
    shape = (1, *sizes)
    kept = tuple(1 if i in averaged else s for i, s in enumerate(shape))
    out_shape = kept if keep_dims else tuple(s for i, s in enumerate(shape) if i not in averaged)
    in_scale = scales(rng, 1, 1e-5, 1e-2)[0]
    out_scale = float(np.float32(in_scale * np.exp(rng.uniform(np.log(0.05), np.log(4)))))
    tensors = [
        TensorSpec(shape, "int16", scale=[in_scale]),
        ints(axes),
        TensorSpec(out_shape, "int16", scale=[out_scale]),
    ]
    check(write_tflite(tensors, [OpSpec("MEAN", [0, 1], [2], {"keep_dims": keep_dims}, version=2)], [0], [2]), seed)


@CASES
@given(seeds, st.integers(1, 4), st.integers(1, 40), st.sampled_from([1.0, 1.0, 0.5, 2.0]))
def test_softmax_is_bit_exact(seed, rows, depth, beta):
    scale = scales(np.random.default_rng(seed), 1, 1e-6, 1e-2)
    tensors = [TensorSpec((rows, depth), "int16", scale=scale), TensorSpec((rows, depth), "int16", scale=[1 / 32768])]
    check(write_tflite(tensors, [OpSpec("SOFTMAX", [0], [1], {"beta": beta}, version=2)], [0], [1]), seed, runs=6)


@CASES
@given(seeds, st.data())
def test_pad_and_strided_slice_move_the_right_elements(seed, data):
    shape = (1, *(data.draw(st.integers(1, 4)) for _ in range(3)))
    pads = [[0, 0], *([data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))] for _ in range(3))]
    padded = tuple(size + sum(pad) for size, pad in zip(shape, pads, strict=True))
    begin = [data.draw(st.integers(0, size - 1)) for size in padded]
    end = [data.draw(st.integers(b + 1, size)) for b, size in zip(begin, padded, strict=True)]
    steps = [data.draw(st.integers(1, 3)) for _ in padded]
    out = tuple(len(range(b, e, s)) for b, e, s in zip(begin, end, steps, strict=True))
    activation = {"dtype": "int16", "scale": [1e-3]}
    tensors = [
        TensorSpec(shape, **activation), ints(pads), TensorSpec(padded, **activation), *map(ints, (begin, end, steps)),
        TensorSpec(out, **activation),
    ]  # fmt: skip
    ops = [OpSpec("PAD", [0, 1], [2], version=2), OpSpec("STRIDED_SLICE", [2, 3, 4, 5], [6], version=2)]
    check(write_tflite(tensors, ops, [0], [6]), seed)


@CASES
@given(seeds, st.permutations(range(3)))
def test_transpose_and_concatenation_move_the_right_elements(seed, permutation):
    shape = (2, 3, 4)
    turned = tuple(shape[axis] for axis in permutation)
    activation = {"dtype": "int16", "scale": [1e-3]}
    tensors = [
        TensorSpec(shape, **activation), ints(permutation), TensorSpec(turned, **activation),
        TensorSpec((*turned[:2], 2 * turned[2]), **activation),
    ]  # fmt: skip
    ops = [OpSpec("TRANSPOSE", [0, 1], [2], version=2), OpSpec("CONCATENATION", [2, 2], [3], {"axis": 2}, version=2)]
    check(write_tflite(tensors, ops, [0], [3]), seed)


@pytest.mark.parametrize("rows", [1, 5])
def test_a_dense_layer_takes_any_number_of_rows(rows):
    rng = np.random.default_rng(0)
    shapes = (rows, 7), (3, 7), (rows, 3)
    model = weighted_model(rng, "FULLY_CONNECTED", *shapes, {}, "int16", True, 0, 0, True)
    check(model, 0)


def test_a_zero_point_is_refused():
    tensors = [TensorSpec((1, 4), "int16", scale=[1e-3], zero_point=[z]) for z in (0, 1)]
    with pytest.raises(ModelError, match=r"tensor 1 .*int16 needs one scale, and zero point 0"):
        import_tflite(write_tflite(tensors, [OpSpec("RELU", [0], [1])], [0], [1]))


def test_a_depthwise_bias_of_32_bits_is_refused():
    """TFLM reads it as if it had 64."""
    model = extreme_layer("DEPTHWISE_CONV_2D", "int32", 1.0, 5, 2)
    with pytest.raises(ModelError, match=r"DEPTHWISE_CONV_2D.*bias of type int32 \(int64 is\)"):
        import_tflite(model)


@pytest.mark.parametrize(("out_scale", "bias"), [(1e-10, 3), (1.0, 2**47)])
def test_what_leaves_the_reference_arithmetic_is_refused(out_scale, bias):
    graph = import_tflite(extreme_layer("CONV_2D", "int64", out_scale, bias, 3))
    with pytest.raises(ModelError, match="leave the range of int16 arithmetic"):
        lower_graph(graph)


def test_a_small_network_is_exact_on_host_and_boards():
    """Pads that fold, views, a sum in place, pools and a softmax between layers with weights."""
    rng = np.random.default_rng(0)
    activation = {"dtype": "int16", "scale": [2e-4]}

    def weights(*shape, axis=0):
        per_channel = scales(rng, shape[axis], 2e-3, 1e-2)
        return TensorSpec(shape, scale=per_channel, data=rng.integers(-127, 128, shape, dtype=np.int8), axis=axis)

    def bias(n):
        return TensorSpec((n,), "int64", data=rng.integers(-(2**14), 2**14, n))

    tensors = [
        TensorSpec((1, 1, 20, 6), **activation), ints([[0, 0], [0, 0], [2, 0], [0, 0]]),
        TensorSpec((1, 1, 22, 6), **activation),  # 2
        weights(8, 1, 3, 6), bias(8), TensorSpec((1, 1, 20, 8), **activation),  # 5
        weights(1, 1, 3, 8, axis=3), bias(8), TensorSpec((1, 1, 20, 8), **activation),  # 8
        TensorSpec((1, 1, 20, 8), **activation),  # 9, sum
        TensorSpec((1, 1, 10, 8), **activation),  # 10, largest
        ints([0, 0, 4, 0]), ints([1, 1, 10, 8]), ints([1, 1, 1, 1]), TensorSpec((1, 1, 6, 8), **activation),  # 14
        ints([1, 2]), TensorSpec((1, 8), **activation),  # 16, mean
        weights(5, 8), bias(5), TensorSpec((1, 5), **activation),  # 19
        TensorSpec((1, 5), "int16", scale=[1 / 32768]),
    ]  # fmt: skip
    pool = {"padding": 1, "stride_h": 1, "stride_w": 2, "filter_h": 1, "filter_w": 2}
    ops = [
        OpSpec("PAD", [0, 1], [2], version=2),
        OpSpec("CONV_2D", [2, 3, 4], [5], {"activation": "relu"}, version=3),
        OpSpec("DEPTHWISE_CONV_2D", [5, 6, 7], [8], {"padding": 0}, version=3),
        OpSpec("ADD", [5, 8], [9], {"activation": "relu"}, version=2),
        OpSpec("MAX_POOL_2D", [9], [10], pool, version=2),
        OpSpec("STRIDED_SLICE", [10, 11, 12, 13], [14], version=2),
        OpSpec("MEAN", [14, 15], [16], version=2),
        OpSpec("FULLY_CONNECTED", [16, 17, 18], [19], version=4),
        OpSpec("SOFTMAX", [19], [20], {"beta": 1.0}, version=2),
    ]
    model = write_tflite(tensors, ops, [0], [20])
    check(model, 0, runs=50)
    for core, fpu in CORES:
        emulate(model, core, fpu)
