"""What the importer accepts, and how it names what it does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crest.compiler.build import lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.operators import supported_operators
from crest.errors import ModelError
from tests.models_families import elementwise_model, float_model, moves_model
from tests.models_small import dense_model, residual_model
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite


def test_histogram_and_weight_bytes_survive():
    graph = import_tflite(dense_model(depth=20, units=6))
    assert graph.histogram() == {"FULLY_CONNECTED": 1}
    assert sum(t.size_bytes for t in graph.constants()) == 20 * 6 + 4 * 6


def test_unsupported_operator_is_named_with_its_index_and_the_supported_list():
    tensors = [TensorSpec((1, 4), "float32"), TensorSpec((1, 4), "float32")]
    with pytest.raises(ModelError, match=r"operator 0 \(LSTM version 1\): not supported") as caught:
        import_tflite(write_tflite(tensors, [OpSpec("LSTM", [0], [1])], [0], [1]))
    assert caught.value.hint is not None and all(name in caught.value.hint for name in supported_operators())


def test_unsupported_version_is_named():
    with pytest.raises(ModelError, match=r"FULLY_CONNECTED version 99.*up to 5"):
        import_tflite(dense_model(version=99))


@pytest.mark.parametrize("data", [b"", b"abc", b"\0" * 64, b"\x1c\0\0\0TFL3" + b"\xff" * 64])
def test_not_a_model(data):
    with pytest.raises(ModelError):
        import_tflite(data)


def test_a_tensor_read_before_it_exists_is_refused():
    quantized = {"scale": [0.1], "zero_point": [0]}
    tensors = [TensorSpec((1, 1, 4, 2), **quantized) for _ in range(4)]
    ops = [OpSpec("ADD", [0, 2], [3], version=2), OpSpec("ADD", [0, 0], [2], version=2)]
    with pytest.raises(ModelError, match=r"operator 0 \(ADD\) reads tensor 2 before it exists"):
        import_tflite(write_tflite(tensors, ops, [0], [3]))


def test_dynamic_batch_is_refused():
    tensors = [TensorSpec((-1, 4), "float32"), TensorSpec((1, 4), "float32")]
    with pytest.raises(ModelError, match=r"tensor 0 .*shape \[-1, 4\]"):
        import_tflite(write_tflite(tensors, [OpSpec("RELU", [0], [1])], [0], [1]))


MODELS = (dense_model(), residual_model(), elementwise_model(), moves_model(), float_model())


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_damaged_files_end_in_a_typed_error_or_a_graph(data):
    model = bytearray(data.draw(st.sampled_from(MODELS)))
    for _ in range(data.draw(st.integers(1, 4))):
        model[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(model[: data.draw(st.integers(0, len(model)))]) if data.draw(st.booleans()) else bytes(model)
    try:
        graph = import_tflite(damaged)
        assert lower_graph(graph).sources.model
    except ModelError:
        return
    assert all(t.data is None or t.data.size == np.prod(t.shape) for t in graph.tensors)
