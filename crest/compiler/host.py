"""The model as a library of this machine: the same generated C and kernels, for golden outputs and whole data sets."""

from __future__ import annotations

import _ctypes
import ctypes
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crest.assets import asset_path
from crest.compiler.emit import Sources
from crest.compiler.graph import INTEGER_RANGES, Graph, Tensor
from crest.compiler.toolchain import MEASURE, host_toolchain
from crest.errors import ModelError


class HostModel:
    """A compiled model that runs on the host; use as a context manager, the library file is temporary."""

    def __init__(self, graph: Graph, sources: Sources, beside: Sequence[Path] = ()) -> None:
        """``beside``: C files that the sources call, beside the kernels."""
        self.graph = graph
        self._folder = tempfile.TemporaryDirectory(prefix="crest-host-")
        library = _build(sources, beside, Path(self._folder.name))
        self._library = ctypes.CDLL(str(library))
        self._evaluate = self._library.crest_evaluate
        self._evaluate.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long]
        self._evaluate.restype = None
        self._input_bytes = sum(graph.tensors[i].size_bytes for i in graph.inputs)
        self._output_bytes = sum(graph.tensors[i].size_bytes for i in graph.outputs)

    def run_bytes(self, inputs: bytes) -> bytes:
        """Run inferences over concatenated raw inputs; returns the concatenated raw outputs."""
        count, rest = divmod(len(inputs), self._input_bytes)
        if rest:
            raise ModelError(f"{self.graph.name}: inputs must be whole multiples of {self._input_bytes} bytes")
        outputs = ctypes.create_string_buffer(max(count * self._output_bytes, 1))
        self._evaluate(inputs, outputs, count)
        return outputs.raw[: count * self._output_bytes]

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict in real units: quantizes the input and dequantizes the outputs.

        Args:
            x: float32 [n, *input shape]; the model must have one input.

        Returns:
            float32 [n, sum of the outputs' elements], outputs in the order of the graph.
        """
        source = self.graph.tensors[self.graph.inputs[0]]
        flat = np.ascontiguousarray(x, dtype=np.float32).reshape(len(x), -1)
        if len(self.graph.inputs) != 1 or flat.shape[1] != source.elements:
            raise ModelError(f"{self.graph.name}: expects one input of {source.elements} elements, got {flat.shape[1]}")
        raw = self.run_bytes(quantize(flat, source).tobytes())
        rows = np.frombuffer(raw, dtype=np.uint8).reshape(len(x), -1)
        columns, at = [], 0
        for index in self.graph.outputs:
            tensor = self.graph.tensors[index]
            block = np.ascontiguousarray(rows[:, at : at + tensor.size_bytes])
            columns.append(dequantize(block.view(tensor.dtype), tensor))
            at += tensor.size_bytes
        return np.concatenate(columns, axis=1)

    def close(self) -> None:
        """Unload the library and remove its file."""
        _unload(self._library)
        self._folder.cleanup()

    def __enter__(self) -> HostModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _unload(library: ctypes.CDLL) -> None:
    """Ctypes never unloads by itself; a search would keep every candidate mapped."""
    release = getattr(_ctypes, "dlclose", None) or getattr(_ctypes, "FreeLibrary")  # noqa: B009 - one of the two exists
    release(library._handle)


def quantize(values: NDArray[np.float32], tensor: Tensor) -> NDArray[Any]:
    """Real numbers as the tensor's type stores them."""
    if tensor.dtype == "float32":
        return values.astype(np.float32)
    scaled = np.round(values / np.float32(tensor.scale)) + tensor.zero_point
    clipped: NDArray[Any] = np.clip(scaled, *INTEGER_RANGES[tensor.dtype]).astype(tensor.dtype)
    return clipped


def dequantize(values: NDArray[Any], tensor: Tensor) -> NDArray[np.float32]:
    """Real numbers of what the tensor stores."""
    if tensor.dtype == "float32":
        return values.astype(np.float32)
    real: NDArray[np.float32] = (values.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale)
    return real


def _build(sources: Sources, beside: Sequence[Path], folder: Path) -> Path:
    toolchain = host_toolchain()
    kernels, runtime = asset_path("firmware", "nn"), asset_path("firmware", "runtime")
    objects = [toolchain.compile_cached(path, [kernels]) for path in sorted(kernels.glob("*.c"))]
    objects += [toolchain.compile_cached(path, [path.parent]) for path in beside]
    objects.append(toolchain.compile_cached(asset_path("firmware", "host") / "evaluate.c", [runtime, kernels]))
    library = folder / "model.so"
    include = [folder, kernels, runtime, *(path.parent for path in beside)]
    toolchain.build(sources.write(folder), objects, library, include, MEASURE)
    return library
