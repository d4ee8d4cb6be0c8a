"""The child process of ``crest.models.conversion.Converter``: imports TensorFlow once, then serves jobs from its stdin.

TensorFlow and its converter print where they like and now and then crash. Frames go to a private copy of stdout, whose
place stderr takes; what cannot be answered with an error ends the process, which the parent notices.
"""

from __future__ import annotations

import os
import sys
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from crest.models.extras import require_search_extra
from crest.models.frames import Arrays, BrokenStreamError, read_frame, write_frame
from crest.models.layers import LayerGraph


def claim_stdout() -> IO[bytes]:
    """A stream to the present stdout, which from now on only we can reach: prints of C and Python go to stderr."""
    stream = os.fdopen(os.dup(1), "wb")
    sys.stdout.flush()
    os.dup2(2, 1)
    return stream


def _convert(header: dict[str, Any], arrays: Arrays) -> Arrays:
    from crest.models import tf_net

    tf = tf_net.tf
    graph = LayerGraph.from_json(header["graph"])
    calibration = arrays.pop("calibration", None)
    # Without a trackable object the converter takes the frozen function itself; by way of a SavedModel it is three
    # times slower and permutes the outputs.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([tf_net.concrete_function(graph, arrays)], None)
    if calibration is not None:
        windows = graph.batched(calibration)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([window[np.newaxis]] for window in windows)
        int16x8 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        operators, dtype = {
            "int8": (tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.int8),
            "int16x8": (int16x8, tf.int16),
        }[header["quantization"]]
        converter.target_spec.supported_ops = [operators]
        converter.inference_input_type = converter.inference_output_type = dtype
    model = converter.convert()
    _check_outputs(model, graph)
    return {"tflite": np.frombuffer(model, dtype=np.uint8)}


def _check_outputs(model: bytes, graph: LayerGraph) -> None:
    """Make sure of the heads' order: the converter names what the function returns Identity, Identity_1, ..."""
    import tflite

    subgraph = tflite.Model.GetRootAs(model, 0).Subgraphs(0)
    tensors = [subgraph.Tensors(subgraph.Outputs(index)) for index in range(subgraph.OutputsLength())]
    found = [(tensor.Name().decode(), tuple(tensor.ShapeAsNumpy().tolist())) for tensor in tensors]
    wanted = [
        (f"Identity_{index}" if index else "Identity", (1, *shape)) for index, shape in enumerate(graph.output_shapes)
    ]
    if found != wanted:
        raise RuntimeError(f"the converter returned the outputs {found}, not {wanted}")


def _run(arrays: Arrays) -> Arrays:
    """Outputs of a .tflite with the reference kernels, one window at a time, as float32."""
    tf = require_search_extra("tensorflow")
    interpreter = tf.lite.Interpreter(
        model_content=arrays["tflite"].tobytes(),
        num_threads=1,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    results = interpreter.get_output_details()
    rows = []
    for window in arrays["x"]:
        interpreter.set_tensor(source["index"], _quantized(window.reshape(source["shape"]), source))
        interpreter.invoke()
        rows.append([_real(interpreter.get_tensor(result["index"]), result).ravel() for result in results])
    return {"y": np.array([np.concatenate(row) for row in rows], dtype=np.float32)}


def _quantized(x: NDArray[np.float32], detail: dict[str, Any]) -> NDArray[Any]:
    if detail["dtype"] == np.float32:
        return x
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    stepped: NDArray[np.float32] = np.round(x / np.float32(scale)) + np.float32(zero_point)
    return stepped.clip(limits.min, limits.max).astype(detail["dtype"])


def _real(y: NDArray[Any], detail: dict[str, Any]) -> NDArray[np.float32]:
    real: NDArray[np.float32] = y.astype(np.float32)
    if detail["dtype"] == np.float32:
        return real
    scale, zero_point = detail["quantization"]
    return (real - np.float32(zero_point)) * np.float32(scale)


def _answer(header: dict[str, Any], arrays: Arrays) -> Arrays:
    if header["job"] == "convert":
        return _convert(header, arrays)
    if header["job"] == "run":
        return _run(arrays)
    raise ValueError(f"unknown job {header['job']!r}")


def main() -> None:
    """Serve jobs until stdin ends."""
    answers = claim_stdout()
    tf = require_search_extra("tensorflow")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    while True:
        try:
            header, arrays = read_frame(sys.stdin.buffer)
        except BrokenStreamError:
            return
        try:
            result = _answer(header, arrays)
        except Exception as exc:  # the parent raises it again as a TrainingError
            write_frame(answers, {"error": f"{type(exc).__name__}: {exc}"}, {})
        else:
            write_frame(answers, {"error": None}, result)


if __name__ == "__main__":
    main()
