"""Reads a .tflite flatbuffer into the compiler's graph; whatever is malformed or unknown is named with its place."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any, Final

import numpy as np
import tflite
from numpy.typing import NDArray

from crest.compiler.graph import ACTIVATION_TYPES, DType, Graph, Operator, Quantization, Tensor
from crest.compiler.operators import READERS, Reader, supported_operators
from crest.errors import ModelError

MAX_ELEMENTS: Final = 1 << 26
# Scales beyond these cannot come from a calibration, and would leave the range of the fixed-point arithmetic.
_SCALE_MIN: Final = 1e-30
_SCALE_MAX: Final = 1e30
_DTYPES: Final[dict[int, tuple[DType, str]]] = {
    tflite.TensorType.INT8: ("int8", "<i1"),
    tflite.TensorType.INT16: ("int16", "<i2"),
    tflite.TensorType.INT32: ("int32", "<i4"),
    tflite.TensorType.INT64: ("int64", "<i8"),
    tflite.TensorType.FLOAT32: ("float32", "<f4"),
}
_SUPPORTED_TYPES: Final = ", ".join(name for name, _ in _DTYPES.values())
_BUILTIN_NAMES: Final = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}


def import_tflite(data: bytes, name: str = "model") -> Graph:
    """Parse a .tflite.

    Args:
        data: the file's bytes.
        name: used in messages and in the emitted sources.

    Raises:
        ModelError: truncated or malformed file, several subgraphs, an operator, version, type or option that the
            compiler does not support (named with its index).
    """
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise ModelError(f"{name}: not a .tflite file (identifier TFL3 is missing)")
    try:
        return replace(_Importer(data, name).graph(), tflite=data)
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError, MemoryError) as exc:
        too_short = isinstance(exc, struct.error)
        reason = "truncated, or it points beyond its end" if too_short else f"{type(exc).__name__}: {exc}"
        raise ModelError(f"{name}: malformed .tflite: {reason}", hint="convert the model again") from exc


class _Importer:
    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        self.model = tflite.Model.GetRootAs(data, 0)
        if self.model.SubgraphsLength() != 1:
            raise ModelError(f"{name}: has {self.model.SubgraphsLength()} subgraphs, exactly 1 is supported")
        self.subgraph = self.model.Subgraphs(0)

    def graph(self) -> Graph:
        tensors = tuple(self._tensor(index) for index in range(self.subgraph.TensorsLength()))
        operators = tuple(self._operator(index, tensors) for index in range(self.subgraph.OperatorsLength()))
        inputs = tuple(int(i) for i in self.subgraph.InputsAsNumpy())
        outputs = tuple(int(i) for i in self.subgraph.OutputsAsNumpy())
        self._check_flow(tensors, operators, inputs, outputs)
        return Graph(self.name, tensors, operators, inputs, outputs)

    def _tensor(self, index: int) -> Tensor:
        raw = self.subgraph.Tensors(index)
        name = (raw.Name() or b"").decode("utf-8", "replace")
        where = f"{self.name}: tensor {index} ({name})"
        if raw.Type() not in _DTYPES:
            raise ModelError(f"{where}: type {_type_name(raw.Type())} is not supported ({_SUPPORTED_TYPES} are)")
        dtype, code = _DTYPES[raw.Type()]
        shape = tuple(int(d) for d in raw.ShapeAsNumpy()) if raw.ShapeLength() else ()
        if any(dimension <= 0 for dimension in shape) or int(np.prod(shape, dtype=object)) > MAX_ELEMENTS:
            raise ModelError(f"{where}: shape {list(shape)} is not a static shape of sensible size")
        constant = self._constant(raw, where, shape, code)
        return Tensor(name, shape, dtype, _quantization(raw, where), constant)

    def _constant(self, raw: Any, where: str, shape: tuple[int, ...], code: str) -> NDArray[Any] | None:
        if not 0 <= raw.Buffer() < self.model.BuffersLength():
            raise ModelError(f"{where}: refers to buffer {raw.Buffer()}, which does not exist")
        buffer = self.model.Buffers(raw.Buffer())
        if buffer.DataLength() == 0:
            return None
        expected = int(np.prod(shape, dtype=np.int64)) * np.dtype(code).itemsize
        content = buffer.DataAsNumpy().tobytes()
        if len(content) != expected:
            raise ModelError(f"{where}: buffer holds {len(content)} bytes, its shape {list(shape)} needs {expected}")
        values = np.frombuffer(content, dtype=code).reshape(shape)
        if not np.isfinite(values).all():
            raise ModelError(f"{where}: holds values that are not finite", hint="did the training diverge?")
        return values

    def _operator(self, index: int, tensors: tuple[Tensor, ...]) -> Operator:
        raw = self.subgraph.Operators(index)
        if not 0 <= raw.OpcodeIndex() < self.model.OperatorCodesLength():
            raise ModelError(f"{self.name}: operator {index}: refers to an operator code that does not exist")
        code = self.model.OperatorCodes(raw.OpcodeIndex())
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = _BUILTIN_NAMES.get(builtin, f"operator code {builtin}")
        where = f"{self.name}: operator {index} ({kind} version {code.Version()})"
        if kind not in READERS:
            raise ModelError(f"{where}: not supported", hint=f"supported: {', '.join(supported_operators())}")
        reader = READERS[kind]
        if code.Version() > reader.max_version:
            raise ModelError(f"{where}: version not supported (up to {reader.max_version} is)")
        inputs = tuple(int(i) for i in raw.InputsAsNumpy())
        outputs = tuple(int(i) for i in raw.OutputsAsNumpy())
        if len(inputs) not in reader.inputs or len(outputs) not in reader.outputs:
            raise ModelError(f"{where}: has {len(inputs)} inputs and {len(outputs)} outputs")
        _check_operands(reader, inputs, outputs, tensors, where)
        operator = Operator(kind, inputs, outputs)
        return operator.with_attributes(**reader.read(raw, operator, tensors, where))

    def _check_flow(
        self,
        tensors: tuple[Tensor, ...],
        operators: tuple[Operator, ...],
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
    ) -> None:
        if not inputs or not outputs:
            raise ModelError(f"{self.name}: has no input or no output")
        for index in (*inputs, *outputs):
            if not 0 <= index < len(tensors):
                raise ModelError(f"{self.name}: input or output refers to tensor {index}, which does not exist")
            if tensors[index].data is not None or tensors[index].dtype not in ACTIVATION_TYPES:
                raise ModelError(
                    f"{self.name}: input or output {index} is a constant, or none of {', '.join(ACTIVATION_TYPES)}"
                )
        known = set(inputs) | {i for i, tensor in enumerate(tensors) if tensor.data is not None}
        for position, op in enumerate(operators):
            missing = [i for i in op.inputs if i >= 0 and i not in known]
            if missing:
                raise ModelError(
                    f"{self.name}: operator {position} ({op.kind}) reads tensor {missing[0]} before it exists"
                )
            for out in op.outputs:
                if out in known:
                    raise ModelError(f"{self.name}: operator {position} ({op.kind}) writes tensor {out} once more")
                known.add(out)
        if not set(outputs) <= known:
            raise ModelError(f"{self.name}: an output is never computed")


def _check_operands(
    reader: Reader, inputs: tuple[int, ...], outputs: tuple[int, ...], tensors: tuple[Tensor, ...], where: str
) -> None:
    """Every operand must exist, unless it may be left out, and be an activation where only one will do."""
    given = [tensor for position, tensor in enumerate(inputs) if position != reader.optional or tensor != -1]
    for tensor in (*outputs, *given):
        if not 0 <= tensor < len(tensors):
            raise ModelError(f"{where}: refers to tensor {tensor}, which does not exist")
    if reader.activations is None:
        if all(tensors[tensor].data is not None for tensor in given):
            raise ModelError(f"{where}: all of its inputs are constant")
    elif any(tensors[inputs[position]].data is not None for position in reader.activations):
        raise ModelError(f"{where}: input {reader.activations[0]} must be an activation")


def _type_name(value: int) -> str:
    return next((name for name, code in vars(tflite.TensorType).items() if code == value), str(value))


def _quantization(raw: Any, where: str) -> Quantization | None:
    params = raw.Quantization()
    if params is None or params.ScaleLength() == 0:
        return None
    scale = tuple(float(s) for s in params.ScaleAsNumpy())
    zero_point = tuple(int(z) for z in params.ZeroPointAsNumpy()) if params.ZeroPointLength() else (0,) * len(scale)
    sane = all(_SCALE_MIN <= s <= _SCALE_MAX for s in scale) and all(-128 <= z <= 127 for z in zero_point)
    if raw.Type() == tflite.TensorType.INT8 and not (sane and len(zero_point) == len(scale)):
        raise ModelError(f"{where}: quantization is malformed")
    if raw.Type() == tflite.TensorType.INT16 and not (sane and len(scale) == 1 and zero_point == (0,)):
        raise ModelError(f"{where}: int16 needs one scale, and zero point 0")
    return Quantization(scale, zero_point, int(params.QuantizedDimension()))
