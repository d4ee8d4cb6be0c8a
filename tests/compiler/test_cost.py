"""The tables by which the compiler chooses between the kernels of a layer."""

from __future__ import annotations

import numpy as np
import pytest

from crest.assets import asset_path
from crest.compiler.build import lower_graph
from crest.compiler.cost import core_cost
from crest.compiler.graph import Graph, Operator, Quantization, Tensor
from crest.compiler.kernel_call import KernelCall
from crest.errors import AssetError


def convolution(k_w, in_c, out_w, out_c=8):
    weights = np.ones((out_c, 1, k_w, in_c), np.int8)
    tensors = (
        Tensor("x", (1, 1, out_w + k_w - 1, in_c), "int8", Quantization((0.02,), (0,))),
        Tensor("w", weights.shape, "int8", Quantization((0.004,), (0,)), weights),
        Tensor("y", (1, 1, out_w, out_c), "int8", Quantization((0.1,), (0,))),
    )
    attributes = {"strides": (1, 1), "dilation": (1, 1), "padding": (0, 0, 0, 0), "activation": "none"}
    return Graph("convolution", tensors, (Operator("CONV_2D", (0, 1), (2,), attributes),), (0,), (2,))


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
def test_kernels_that_share_columns_are_taken_where_there_is_much_to_share(core):
    # Widening is shared, products are not: the fewer channels, the more it counts.
    assert lower_graph(convolution(12, 10, 30, out_c=2), core).calls[0].function == "crest_conv2d_rows_s8"
    assert lower_graph(convolution(1, 3, 4), core).calls[0].function == "crest_conv2d_pairs_s8"
    assert lower_graph(convolution(12, 10, 2), core).calls[0].function == "crest_conv2d_pairs_s8"


def test_a_cost_function_of_the_caller_decides():
    for kernel in ("crest_conv2d_pairs_s8", "crest_conv2d_rows_s8"):
        lowered = lower_graph(convolution(5, 4, 9), cost=lambda call, kernel=kernel: call.function != kernel)
        assert lowered.calls[0].function == kernel


def test_every_core_has_a_table_and_a_kernel_it_lacks_is_named():
    for path in asset_path("emulation", "kernels").glob("*.yaml"):
        with pytest.raises(AssetError, match=f"kernel costs of {path.stem} lack 'crest_new' for crest_new"):
            core_cost(path.stem)(KernelCall("crest_new", (), work={"macs": 1}))
