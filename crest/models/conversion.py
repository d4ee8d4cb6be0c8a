"""Converts layer graphs to .tflite in a child process, where a crash of TensorFlow is one failed candidate."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from crest.errors import MissingExtraError, TrainingError
from crest.models.extras import check_search_extra
from crest.models.frames import Arrays, BrokenStreamError, read_frame, write_frame
from crest.models.layers import LayerGraph
from crest.models.proxies import Quantization
from crest.models.weights import check_weights

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]
_COMMAND: Final = (sys.executable, "-P", "-m", "crest.models.conversion_worker")
_ENVIRONMENT: Final = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",  # its kernels sum in an order of their own, calibration would depend on the machine
    "CUDA_VISIBLE_DEVICES": "-1",
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "PYTHONHASHSEED": "0",
}
_STDERR_TAIL_BYTES: Final = 2000


def tensorflow_version() -> str:
    """Version of the installed TensorFlow, whichever of its packages brings it; nothing is imported.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """
    for package in ("tensorflow-cpu", "tensorflow"):
        with contextlib.suppress(PackageNotFoundError):
            return version(package)
    raise MissingExtraError("tensorflow is not installed", hint="pip install 'crest[search]'")


class Converter:
    """A persistent conversion process; use it as a context manager. Not to be shared between threads.

    The process starts with the context, imports TensorFlow meanwhile, and is started again for the next job when it
    died or was stopped for taking too long.

    Args:
        timeout_s: seconds that one job may take, the import of TensorFlow included.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """

    def __init__(self, timeout_s: float = 180.0) -> None:
        check_search_extra("tensorflow")
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._running()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    _close_quietly(stream)
        if self._stderr is not None:
            self._stderr.close()
        self._process, self._stderr = None, None

    def convert(
        self,
        graph: LayerGraph,
        weights: Mapping[str, NDArray[np.float32]],
        quantization: Quantization,
        calibration: NDArray[np.float32] | None = None,
    ) -> bytes:
        """The .tflite of a graph: batch 1, batch normalisation folded, the same bytes for the same arguments.

        The model's outputs are the graph's, in its order (the subgraph's list of outputs; their tensors are named
        Identity, Identity_1, ...). int8 means int8 inputs, outputs, activations and per-channel weights; int16x8 means
        the same weights with int16 inputs, outputs and activations.

        Args:
            graph: the network.
            weights: its weights.
            quantization: number format of the model.
            calibration: windows [n, *input_shape] whose activations set the ranges; not used for float32.

        Raises:
            ModelError: weights or windows that do not fit the graph.
            TrainingError: integers without calibration windows, or the conversion failed, crashed or took too long.
        """
        check_weights(graph, weights)
        arrays: Arrays = dict(weights)
        if quantization != "float32":
            if calibration is None or not len(calibration):
                raise TrainingError(
                    f"{quantization} conversion needs calibration windows", hint="a hundred of the training split do"
                )
            if not np.isfinite(calibration).all():
                raise TrainingError("the calibration windows hold values that are not finite")
            arrays["calibration"] = graph.batched(calibration)
        answer = self._request(
            {"job": "convert", "graph": graph.canonical_json(), "quantization": quantization}, arrays
        )
        return answer["tflite"].tobytes()

    def run(self, tflite: bytes, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs of a .tflite by TensorFlow's reference kernels, dequantized.

        They are slow (milliseconds per window) and round a fully connected layer once where TFLM rounds twice, so an
        int8 output may differ from a target's by one step.

        Args:
            tflite: the model, with a batch of 1.
            x: float windows [n, ...] of the model's input size.

        Returns:
            float32 [n, sum of output sizes] in the order of the model's outputs.

        Raises:
            TrainingError: the model could not be run.
        """
        arrays: Arrays = {"tflite": np.frombuffer(tflite, dtype=np.uint8), "x": np.asarray(x, dtype=np.float32)}
        return self._request({"job": "run"}, arrays)["y"]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        paths = [str(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)},
        )
        return self._process

    def _request(self, header: dict[str, Any], arrays: Arrays) -> Arrays:
        process = self._running()
        assert process.stdin is not None and process.stdout is not None and self._stderr is not None
        self._stderr.seek(0)  # the child shares this offset: each job starts a new log
        self._stderr.truncate()
        timed_out = threading.Event()

        def stop() -> None:
            timed_out.set()
            process.kill()

        timer = threading.Timer(self._timeout_s, stop)
        timer.start()
        try:
            write_frame(process.stdin, header, arrays)
            answer, results = read_frame(process.stdout)
        except (BrokenStreamError, OSError) as exc:
            raise self._death(process, timed_out.is_set()) from exc
        except BaseException:
            self.close()  # half a message is left in the pipe
            raise
        finally:
            timer.cancel()
        if answer["error"] is not None:
            raise TrainingError(f"job {header['job']!r} failed in the conversion process: {answer['error']}")
        return results

    def _death(self, process: subprocess.Popen[bytes], timed_out: bool) -> TrainingError:
        try:
            code = process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        log = self._log_tail()
        self.close()
        if timed_out:
            return TrainingError(f"the conversion took more than {self._timeout_s:g} s and was stopped")
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return TrainingError(f"the conversion process {how}", hint=f"its last words: {log}" if log else None)

    def _log_tail(self) -> str:
        assert self._stderr is not None
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _STDERR_TAIL_BYTES))
        return self._stderr.read().decode(errors="replace").strip()


def _close_quietly(stream: Any) -> None:
    try:
        stream.close()
    except OSError:
        return  # unsent bytes of a message to a process that is gone
