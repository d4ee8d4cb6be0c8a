"""Turns kernel calls into bytes: constants, parameters and jobs as a compiler and linker would lay them out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crest.compiler.graph import Graph, Operator
from crest.compiler.kernel_call import KernelCall
from tests.kernels.declarations import declarations
from tests.kernels.machines import CASE_BYTES, EmulatedCore, Host
from tests.kernels.places import GUARD_BYTES, Places
from tests.kernels.table import ARGUMENTS_MAX

_ARENA_ALIGNMENT = 16


class CaseTooLargeError(ValueError):
    """The case does not fit the memory of the machine."""


@dataclass(frozen=True)
class LinkedCase:
    """A case that a machine can run.

    Attributes:
        memory: everything but the inputs.
        inputs, outputs: (offset, bytes) of the graph's inputs and outputs.
        writable: ranges that the kernels may write.
    """

    memory: bytes
    jobs: int
    inputs: tuple[tuple[int, int], ...]
    outputs: tuple[tuple[int, int], ...]
    writable: tuple[tuple[int, int], ...]

    def run(self, machine: Host | EmulatedCore, inputs: Sequence[np.ndarray]) -> bytes:
        """Run on the machine that it was linked for; returns the concatenated outputs.

        A kernel that writes where it must not fails the test.
        """
        before = bytearray(self.memory)
        for (offset, size), value in zip(self.inputs, inputs, strict=True):
            before[offset : offset + size] = value.tobytes()
        after = machine.run(bytes(before), self.jobs)
        untouched = bytearray(after)
        for begin, end in self.writable:
            untouched[begin:end] = before[begin:end]
        if untouched != before:
            at = next(i for i, (a, b) in enumerate(zip(untouched, before, strict=True)) if a != b)
            nearest = min((min(abs(at - begin), abs(at - end + 1)) for begin, end in self.writable), default=None)
            raise AssertionError(f"a kernel wrote {nearest} bytes away from where it may")
        return b"".join(after[offset : offset + size] for offset, size in self.outputs)


def link(
    graph: Graph, calls: Sequence[KernelCall | None], places: Places, machine: Host | EmulatedCore, fill: int = 0xA5
) -> LinkedCase:
    """Lay out the calls of a graph for a machine.

    Args:
        graph: after its passes.
        calls: of its operators, in order; None for views.
        places: of its activations.
        machine: where it is to run.
        fill: the byte that memory holds before anything is written to it.

    Raises:
        CaseTooLargeError: it does not fit the machine's memory.
    """
    return _Linker(machine, fill).link(graph, calls, places)


class _Linker:
    def __init__(self, machine: Host | EmulatedCore, fill: int) -> None:
        self._machine = machine
        self._fill = fill
        self._memory = bytearray()

    def link(self, graph: Graph, calls: Sequence[KernelCall | None], places: Places) -> LinkedCase:
        real = [(position, call) for position, call in enumerate(calls) if call is not None]
        job_bytes = (1 + ARGUMENTS_MAX) * self._machine.pointer_bytes
        self._reserve(sum(call.repeats for _, call in real) * job_bytes + GUARD_BYTES, _ARENA_ALIGNMENT)
        arena = self._reserve(places.size_bytes, _ARENA_ALIGNMENT)
        self._reserve(GUARD_BYTES, 1)
        tensors = {index: self._machine.base + arena + at for index, at in places.tensors.items()}
        jobs = []
        for position, call in real:
            names = self._constants(call)
            if position in places.scratch:
                names["scratch"] = self._machine.base + arena + places.scratch[position]
            names |= self._tables(graph.operators[position], call, tensors, names)
            jobs += self._jobs(graph, graph.operators[position], call, tensors, names)
        self._memory[: len(jobs) * job_bytes] = b"".join(jobs)
        if len(self._memory) > CASE_BYTES:
            raise CaseTooLargeError(f"the case takes {len(self._memory)} bytes")

        def spans(indices: Sequence[int]) -> tuple[tuple[int, int], ...]:
            return tuple((arena + places.tensors[i], graph.tensors[i].size_bytes) for i in indices)

        writable = tuple((arena + begin, arena + end) for begin, end in places.writable)
        return LinkedCase(bytes(self._memory), len(jobs), spans(graph.inputs), spans(graph.outputs), writable)

    def _constants(self, call: KernelCall) -> dict[str, int]:
        """Addresses of a call's constants and parameters, which lie no better than their types demand."""
        declared, pointer = declarations(), self._machine.pointer_bytes
        addresses: dict[str, int] = {}
        for constant in call.constants:
            content = declared.pack_array(constant.c_type, constant.values)
            addresses[constant.suffix] = self._append(content, declared.size(constant.c_type, pointer)[1])
        if call.params is not None:
            c_type, fields = call.params
            content = declared.pack(c_type, fields, pointer, addresses.__getitem__)
            addresses["params"] = self._append(content, declared.size(c_type, pointer)[1])
        return addresses

    def _tables(
        self, op: Operator, call: KernelCall, tensors: Mapping[int, int], names: Mapping[str, int]
    ) -> dict[str, int]:
        """Addresses of the tables of all operands or results, where a call takes any."""
        size, tables = self._machine.pointer_bytes, {}
        for name, indices in (("inputs", op.inputs), ("outputs", op.outputs)):
            if f"{{{name}}}" in call.arguments:
                addresses = [tensors.get(index, names.get(f"{name}{n}", 0)) for n, index in enumerate(indices)]
                tables[name] = self._append(b"".join(each.to_bytes(size, "little") for each in addresses), size)
        return tables

    def _jobs(
        self, graph: Graph, op: Operator, call: KernelCall, tensors: Mapping[int, int], names: dict[str, int]
    ) -> Iterator[bytes]:
        size = self._machine.pointer_bytes
        kernels = declarations().kernels
        for repeat in range(call.repeats):
            operands = {f"in{n}": tensors[index] for n, index in enumerate(op.inputs) if index in tensors}
            operands["out"] = tensors[op.outputs[0]]
            if repeat:
                for name, index in (("in0", op.inputs[0]), ("out", op.outputs[0])):
                    operands[name] += graph.tensors[index].size_bytes // call.repeats * repeat
            values = [argument.format(**operands, **names) for argument in call.arguments]
            words = [list(kernels).index(call.function)]
            words += [_word(c_type, value) for c_type, value in zip(kernels[call.function], values, strict=True)]
            words += [0] * (1 + ARGUMENTS_MAX - len(words))
            yield b"".join((word % (1 << 8 * size)).to_bytes(size, "little") for word in words)

    def _append(self, content: bytes, alignment: int) -> int:
        """Place bytes at an address that is a multiple of ``alignment`` and of nothing above it."""
        while len(self._memory) % (2 * alignment) != alignment:
            self._memory.append(self._fill)
        at = len(self._memory)
        self._memory += content
        return self._machine.base + at

    def _reserve(self, size_bytes: int, alignment: int) -> int:
        self._memory += bytes([self._fill]) * (-len(self._memory) % alignment)
        at = len(self._memory)
        self._memory += bytes([self._fill]) * size_bytes
        return at


def _word(c_type: str, text: str) -> int:
    if c_type == "float":
        return int(np.float32(text.removesuffix("f")).view(np.uint32))
    return int(text)
