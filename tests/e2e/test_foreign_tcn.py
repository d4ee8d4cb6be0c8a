"""A temporal network written in Keras, as anybody would: every step is computed, the last one is used."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from crest.compiler.importer import import_tflite
from tests.compiler.lowerings import after, check_lowerings, macs

_EXPORT = """
import sys
import numpy as np
import tensorflow as tf
from tensorflow import keras

keras.utils.set_random_seed(0)
x = inputs = keras.Input(batch_shape=(1, 128, 6))
for dilation in (1, 2, 4, 8, 16):
    y = x
    for _ in range(2):
        y = keras.layers.Conv1D(12, 4, padding="causal", dilation_rate=dilation)(y)
        y = keras.layers.BatchNormalization()(y)
        y = keras.layers.Activation("relu")(y)
    x = x if x.shape[-1] == 12 else keras.layers.Conv1D(12, 1)(x)
    x = keras.layers.Activation("relu")(keras.layers.add([x, y]))
model = keras.Model(inputs, keras.layers.Dense(2)(x[:, -1, :]))
converter = tf.lite.TFLiteConverter.from_keras_model(model)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
samples = np.random.default_rng(0).standard_normal((20, 1, 128, 6)).astype(np.float32)
converter.representative_dataset = lambda: ([sample] for sample in samples)
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
converter.inference_input_type = converter.inference_output_type = tf.int8
open(sys.argv[1], "wb").write(converter.convert())
"""


@pytest.mark.slow
def test_a_network_from_keras_falls_to_what_its_last_step_needs(tmp_path):
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("tensorflow is not installed")
    path = tmp_path / "foreign.tflite"
    done = subprocess.run([sys.executable, "-c", _EXPORT, str(path)], capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    model = path.read_bytes()
    imported = import_tflite(model)
    graph, removed = after(model)
    assert imported.histogram()["PAD"] == len(removed["fold_pads"]) == 10
    assert macs(imported) > 3.5 * macs(graph)
    check_lowerings(model, runs=20)
