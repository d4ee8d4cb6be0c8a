"""Every family of operators, as a whole model: equal to TFLM on the host, and to the host on each emulated core."""

from __future__ import annotations

import shutil

import pytest

from crest.backends.emulated import EmulatedBackend
from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.targets import load_target
from tests.kernel_cases import check
from tests.models_families import elementwise_model, float_model, moves_model

TARGET = load_target("nano33ble")
FAMILIES = {"elementwise": elementwise_model(), "moves": moves_model(), "float": float_model()}


@pytest.mark.parametrize("family", FAMILIES)
def test_families_equal_the_oracle(family):
    check(FAMILIES[family], 0, runs=100)


def test_the_families_call_every_kernel_of_theirs():
    graphs = [lower_graph(import_tflite(model)) for model in FAMILIES.values()]
    called = {call.function for lowered in graphs for call in lowered.calls if call is not None}
    assert called >= {
        "crest_add_s8", "crest_sum_s8", "crest_sum_broadcast_s8", "crest_mul_s8", "crest_lookup_s8", "crest_gather",
        "crest_concatenate", "crest_split", "crest_space_to_batch", "crest_batch_to_space", "crest_quantize_f32_s8",
        "crest_dequantize_s8_f32", "crest_sub_f32", "crest_mul_f32", "crest_logistic_f32", "crest_tanh_f32",
        "crest_hard_swish_f32", "crest_leaky_relu_f32",
    }  # fmt: skip


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
@pytest.mark.parametrize(
    ("core", "fpu"), [("cortex-m0plus", "none"), ("cortex-m4", "single"), ("cortex-m7", "double")]
)  # fmt: skip
@pytest.mark.parametrize("family", FAMILIES)
def test_families_give_the_same_outputs_on_every_core(core, fpu, family, toolchain):
    """The board around them is the M4's; the core, its instructions and its compiler flags are not."""
    if toolchain == "gcc" and not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    target = TARGET.model_copy(update={"core": core, "fpu": fpu})
    lowered = lower_graph(import_tflite(FAMILIES[family], family))
    program = build_program(lowered, target, target_toolchain(toolchain, target))
    assert EmulatedBackend().run(program).golden_pairs_checked == len(program.golden)
