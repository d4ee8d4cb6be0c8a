"""The kernels ordered for a core that issues two instructions at a time: how fast their loops are, what they read."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from crest.backends.emulated import EmulatedBackend
from crest.compiler.build import build_program, lower_graph
from crest.compiler.graph import Graph, Operator, Quantization, Tensor
from crest.compiler.project import write_c_project
from crest.compiler.toolchain import target_toolchain
from crest.targets import load_target
from crest.timing.model import load_core_timing

M4 = load_target("nano33ble")
M7 = M4.model_copy(update={"core": "cortex-m7", "fpu": "none"})
PAIRS, ROWS = "crest_conv2d_pairs_s8", "crest_conv2d_rows_s8"


def layer(kind, filter_shape, in_shape, out_shape):
    weights = np.random.default_rng(1).integers(-127, 128, filter_shape).astype(np.int8)
    tensors = (
        Tensor("x", in_shape, "int8", Quantization((0.02,), (-3,))),
        Tensor("w", weights.shape, "int8", Quantization((0.004,), (0,)), weights),
        Tensor("y", out_shape, "int8", Quantization((0.1,), (5,))),
    )
    attributes = {
        "strides": (1, 1),
        "dilation": (1, 1),
        "padding": (0, 0, 0, 0),
        "activation": "none",
        "depth_multiplier": 1,
    }
    return Graph("layer", tensors, (Operator(kind, (0, 1), (2,), attributes),), (0,), (2,))


def line(taps, k_w=1, out_c=64, out_w=3):
    """A convolution over one axis: so many taps in all."""
    in_c = taps // k_w
    return layer("CONV_2D", (out_c, 1, k_w, in_c), (1, 1, out_w + k_w - 1, in_c), (1, 1, out_w, out_c))


def dense(taps, units=8):
    return layer("FULLY_CONNECTED", (units, taps), (1, taps), (1, units))


def depthwise(taps, channels=128):
    return layer("DEPTHWISE_CONV_2D", (1, 1, taps, channels), (1, 1, taps, channels), (1, 1, 1, channels))


def cycles(graph, kernel=None):
    lowered = lower_graph(graph, M7.core, cost=lambda call: call.function != kernel)
    profile = EmulatedBackend().run(build_program(lowered, M7, target_toolchain("zig", M7))).profile
    return load_core_timing(M7.core).cycles(profile.layers[0].counts)


@pytest.mark.parametrize(
    ("make", "kernel", "short", "long", "steps", "expected"),
    [
        # Two taps of three positions and two channels: 12 products by 6 SMLAD.
        (line, PAIRS, 32, 96, 32 * 64 / 2, 6),
        # One load finds no register free.
        (lambda taps: line(taps, k_w=4), ROWS, 32, 96, 32 * 64 / 2, 7),
        # Four taps of four channels: ten extensions, each alone with a product or a load beside it.
        (dense, None, 32, 96, 2 * 64 / 4, 12),
        # A tap of four channels: eleven instructions.
        (depthwise, None, 9, 27, 32 * 18, 6),
    ],
    ids=["pairs", "rows", "dense", "depthwise"],
)
def test_cycles_of_a_step(make, kernel, short, long, steps, expected):
    """What a step more costs, what it adds outside of the loop included."""
    per_step = (cycles(make(long), kernel) - cycles(make(short), kernel)) / steps
    assert expected <= per_step < expected * 1.2


def test_what_is_read_ahead_is_there():
    for graph, kernel, scratch in ((line(32), PAIRS, 8), (line(32, k_w=4), ROWS, 0)):
        (call, plain) = (
            lower_graph(graph, core, cost=lambda call, kernel=kernel: call.function != kernel).calls[0]
            for core in (M7.core, M4.core)
        )
        assert call.function == kernel
        assert len(call.constants[0].values) == len(plain.constants[0].values) + 1
        assert call.scratch_bytes == plain.scratch_bytes + scratch


@pytest.mark.parametrize("cc", ["zig", "gcc"])
def test_the_build_tells_the_kernels_about_the_core(cc, tmp_path):
    if cc == "gcc" and shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    toolchain = target_toolchain(cc, M7)
    assert "-DCREST_DUAL_ISSUE=1" in toolchain.flags
    assert not any("DUAL_ISSUE" in flag for flag in target_toolchain(cc, M4).flags)
    write_c_project(build_program(lower_graph(dense(8), M7.core), M7, toolchain), toolchain, tmp_path)
    options = [text for text in (tmp_path / "CMakeLists.txt").read_text().splitlines() if "compile_options" in text]
    assert "-DCREST_DUAL_ISSUE=1" in options[0]
