"""Binary traces of Renode: hand-made files, damaged files, and the same counts as the native hook."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import unicorn
from unicorn import arm_const

from crest.emulators.elf import read_elf
from crest.emulators.renode.marks import Mark, Marks, Window
from crest.emulators.renode.replay import code_reader, replay, window_trace
from crest.emulators.renode.trace import Trace, read_trace
from crest.errors import EmulationError
from tests.emulators.firmware import TARGET, asm

HEADER = b"ReTrace\x04\x04\x00"


def record(pc, *accesses):
    parts = [struct.pack("<I", pc)]
    parts += [b"\x01" + struct.pack(">BQQQ", kind, address, address, 0) for kind, address in accesses]
    return b"".join((*parts, b"\0"))


def trace_of(tmp_path, data):
    path = tmp_path / "trace.bin"
    path.write_bytes(data)
    return read_trace(path)


def test_addresses_and_accesses(tmp_path):
    records = record(0x10000) + record(0x10002, (2, 0x20000004)) + record(0x10004, (3, 0x20000008), (3, 0x2000000C))
    trace = trace_of(tmp_path, HEADER + records + record(0x01010101, (4, 0x10000)))
    assert trace.addresses.tolist() == [0x10000, 0x10002, 0x10004, 0x01010101]
    assert trace.access_index.tolist() == [1, 2]  # a fetch is no access to data
    assert trace.access_address.tolist() == [0x20000004, 0x20000008]
    assert trace.access_writes.tolist() == [False, True]


@pytest.mark.parametrize(("version", "size"), [(2, 8), (3, 16), (4, 24)])
def test_versions_differ_in_the_length_of_an_access(tmp_path, version, size):
    access = b"\x01\x02" + struct.pack(">Q", 0x20000010) + bytes(size - 8)
    data = b"ReTrace" + bytes([version, 4, 0]) + struct.pack("<I", 0x8000) + access + b"\0" + record(0x8002)
    trace = trace_of(tmp_path, data)
    assert trace.addresses.tolist() == [0x8000, 0x8002]
    assert trace.access_address.tolist() == [0x20000010]


def test_long_traces_are_read_in_pieces(tmp_path):
    count = 300_000
    data = b"".join(record(0x10000 + 2 * i, *([(2, 0x20000000 + i)] if i % 3 == 0 else [])) for i in range(count))
    trace = trace_of(tmp_path, HEADER + data)
    assert np.array_equal(trace.addresses, 0x10000 + 2 * np.arange(count))
    assert np.array_equal(trace.access_index, np.arange(0, count, 3))
    assert np.array_equal(trace.access_address, 0x20000000 + np.arange(0, count, 3))


def test_an_empty_trace_is_a_trace(tmp_path):
    assert len(trace_of(tmp_path, HEADER).addresses) == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a trace"),
        (b"ReTrace\x04", "not a trace"),
        (b"garbage!!!", "not a trace"),
        (b"ReTrace\x07\x04\x00", "version 7"),
        (b"ReTrace\x04\x08\x00", "8-byte addresses"),
        (b"ReTrace\x04\x04\x01", "opcodes 1"),
        (HEADER + record(1) + b"\x01\x02", "damaged behind instruction 1: 0102"),
        (HEADER + record(1) + record(2, (2, 3))[:-5], "damaged behind instruction 1"),
        (HEADER + record(1) + struct.pack("<I", 2) + b"\x09\0", "damaged behind instruction 1"),
    ],
)
def test_other_files_are_refused(tmp_path, data, message):
    with pytest.raises(EmulationError, match=message):
        trace_of(tmp_path, data)


def test_marks_that_do_not_fit_the_trace_are_refused():
    nothing = np.zeros(0, np.int64)
    trace = Trace(np.array([2, 4, 6, 2, 8], np.uint32), nothing, nothing.astype(np.uint32), nothing.astype(bool))
    window = Window((Mark(0xFFFFFFFE, 10, ()), Mark(0xFFFFFFFF, 13, ())))
    assert window_trace(trace, window, 10, 2).addresses.tolist() == [2, 4, 6]
    for start, address in ((9, 2), (10, 4), (11, 2), (8, 2)):
        with pytest.raises(EmulationError, match="does not fit"):
            window_trace(trace, window, start, address)


def test_marks_are_read_as_they_are_written(tmp_path):
    path = tmp_path / "marks.txt"
    marks = Marks(path)
    marks.read()
    assert marks.place() == "outside of the latency window"
    path.write_text("M 4294967294 10 1 2\nM 0 20 3 4\nM 7 30")
    marks.read()
    assert marks.place() == "in layer 0"
    with path.open("a") as file:
        file.write(" 5 6\nM 4294967295 40 7 8\nW 0\nF 536870912 41\n")
    marks.read()
    assert [mark.row for mark in marks.window.marks[:-1]] == [0, 1, 8]
    assert marks.window.marks[2] == Mark(7, 30, (5, 6))
    assert (marks.waits, marks.fault_stack) == (1, 0x20000000)
    for line in ("M 4097 1", "M x 1", "hello", "F 1"):
        path.write_text(line + "\n")
        with pytest.raises(EmulationError, match=r"undefined id|hooks wrote"):
            Marks(path).read()


PROGRAM = """
  MARK 0xFFFFFFFE
  MARK 0
  ldr r1, =0x20000000
  movs r2, #5
1: ldr r3, [r1]
  ldr r4, [r1, #4]
  str r4, [r1, #8]
  ldr r3, [r1]
  subs r2, #1
  bne 1b
  MARK 1
  cbz r2, 2f
  nop
2: push {r1, r2}
  pop {r1, r2}
  bl 3f
  b 4f
  .balign 1024
  nop
3: push {lr}
  ldr r3, [r1]
  pop {pc}
  .space 1018
4: ldr r3, [r1]
  ldr.w r3, [r1, #100]
  ldr r3, [r1]
  MARK 0xFFFFFFFF
"""


@pytest.mark.parametrize("memory", [False, True])
def test_a_replayed_run_fills_the_tables_that_the_hook_fills(boot, memory):
    """Edge by edge: blocks are cut where Unicorn cuts them."""
    elf = asm(PROGRAM)
    machine = boot(elf)
    addresses, accesses, marks = [], [], []
    mark_address = read_elf(elf, TARGET).symbols["crest_layer_mark"]

    def note(uc, address, _size, _data):
        if address == mark_address:
            marks.append(Mark(uc.reg_read(arm_const.UC_ARM_REG_R0), len(addresses), ()))
        addresses.append(address)

    def note_access(_uc, kind, address, _size, _value, _data):
        accesses.append((len(addresses) - 1, address, kind == unicorn.UC_MEM_WRITE))

    machine._uc.hook_add(unicorn.UC_HOOK_CODE, note)
    if memory:
        machine._uc.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, note_access)
        machine.count_memory(True)
    assert machine.receive() == b""
    first = [access for i, access in enumerate(accesses) if i == 0 or access[0] != accesses[i - 1][0]]
    index, address, writes = zip(*first, strict=True) if first else ((), (), ())
    trace = Trace(
        np.array(addresses, np.uint32), np.array(index, np.int64), np.array(address, np.uint32), np.array(writes, bool)
    )
    window = Window(tuple(marks))
    cut = window_trace(trace, window, 0, mark_address)
    hooks = replay(cut, window, mark_address, code_reader(read_elf(elf, TARGET)), TARGET)
    assert table(hooks.edges()) == table(machine._hooks.edges())
    if memory:
        assert np.array_equal(hooks.accesses(), machine._hooks.accesses())
        assert hooks.accesses().sum() > 20


def table(slots):
    return sorted(slots[slots["count"] > 0].tolist())
