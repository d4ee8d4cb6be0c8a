"""Getting started: ELF files good and bad, targets that cannot be emulated, engines by name, the native hook."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crest.emulators import engine_names, load_engine, native, registry, selftest
from crest.emulators.elf import read_elf
from crest.errors import AssetError, EmulationError, StudyError, ToolchainError
from crest.targets import Peripheral
from tests.emulators.firmware import TARGET, asm, c


@pytest.fixture(scope="module")
def elf():
    return c("static uint32_t v = 7; int main(void) { put(&v, 4); return 0; }")


def changed(**update):
    return TARGET.model_copy(update=update)


def test_initialised_data_and_symbols(boot, elf):
    assert boot(elf).receive() == b"\x07\0\0\0"
    image = read_elf(elf, TARGET)
    mark = image.symbols["crest_layer_mark"]
    assert mark % 2 == 0
    assert image.nearest_symbol(mark) == "crest_layer_mark"
    assert image.nearest_symbol(mark + 2).startswith("crest_layer_mark+0x2")
    assert image.nearest_symbol(0) == "?"
    assert image.vectors == TARGET.flash.base + TARGET.reserved_flash_bytes
    assert image.code


@given(st.binary(max_size=200))
def test_garbage_is_no_elf(data):
    with pytest.raises(EmulationError, match="not a readable ELF"):
        read_elf(data, TARGET)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_elf_is_an_error_or_an_image(elf, data):
    at = data.draw(st.integers(0, 400)) if data.draw(st.booleans()) else data.draw(st.integers(0, len(elf) - 1))
    damaged = elf[:at] + bytes([data.draw(st.integers(0, 255))]) + elf[at + 1 :]
    try:
        read_elf(damaged, TARGET)
    except EmulationError as error:
        assert str(error)


def test_a_truncated_elf_is_an_error(elf):
    for size in range(0, len(elf), max(1, len(elf) // 60)):
        with pytest.raises(EmulationError):
            read_elf(elf[:size], TARGET)


def test_an_elf_for_another_memory_map_is_refused(elf):
    flash = TARGET.flash.model_copy(update={"size_bytes": 0x10000})
    with pytest.raises(EmulationError, match="outside of the flash of"):
        read_elf(elf, changed(regions=(flash, TARGET.ram)))
    library = Path(native.load_hooks()._name)
    with pytest.raises(EmulationError, match="EM_ARM" if library.read_bytes().startswith(b"\x7fELF") else "ELF"):
        read_elf(library.read_bytes(), TARGET)


def test_a_bad_vector_table_is_refused(elf, boot):
    ram = TARGET.ram.model_copy(update={"size_bytes": 0x1000})
    with pytest.raises(EmulationError, match="no vector table"):
        boot(elf, changed(regions=(TARGET.flash, ram)))


def test_targets_that_cannot_be_emulated(elf, boot):
    uart = TARGET.peripherals["uarte0"]
    bad = {
        "unknown register model 'nrf-uart'": {
            **TARGET.peripherals,
            "uarte0": uart.model_copy(update={"model": "nrf-uart"}),
        },
        "is no UART": {**TARGET.peripherals, "uarte0": uart.model_copy(update={"model": "registers"})},
        "memory region": {
            **TARGET.peripherals,
            "x": Peripheral(model="registers", base=TARGET.ram.base, size_bytes=16),
        },
    }
    for message, peripherals in bad.items():
        with pytest.raises(AssetError, match=message):
            boot(elf, changed(peripherals=peripherals))
    ram = TARGET.ram.model_copy(update={"size_bytes": 0x40000 - 16})
    with pytest.raises(AssetError, match="4096-byte pages"):
        boot(elf, changed(regions=(TARGET.flash, ram)))
    many = tuple(
        TARGET.ram.model_copy(update={"name": f"r{i}", "base": 0x24000000 + i * 0x1000, "size_bytes": 0x1000})
        for i in range(16)
    )
    with pytest.raises(AssetError, match="18 memory regions"):
        boot(elf, changed(regions=(TARGET.flash, TARGET.ram, *many)))


def test_peripherals_may_share_a_page(boot):
    clock = TARGET.peripherals["clock"]
    near = {
        "a": Peripheral(model="registers", base=0x40013400, size_bytes=0x400, registers={0: 11}),
        "b": Peripheral(model="registers", base=0x40013800, size_bytes=0x10, registers={4: 22}),
    }
    target = changed(peripherals={"uarte0": TARGET.peripherals["uarte0"], "clock": clock, **near})
    text = "int main(void) {{ static uint32_t w[2]; w[0] = REG(0x40013400); w[1] = REG({:#x}); put(w, 8); return 0; }}"
    assert boot(c(text.format(0x40013804)), target).receive() == bytes([11, 0, 0, 0, 22, 0, 0, 0])
    with pytest.raises(EmulationError, match="where the target has no peripheral"):
        boot(c(text.format(0x40013810)), target).receive()


def test_a_firmware_without_marks_has_no_profile(boot):
    elf = asm("  nop\n").replace(b"crest_layer_mark\0", b"crest_layer_nope\0")
    machine = boot(elf)
    machine.receive()
    with pytest.raises(EmulationError, match="no function crest_layer_mark"):
        machine.profile()


def test_engines_by_name():
    assert "unicorn" in engine_names()
    engine = load_engine("unicorn")
    assert (engine.name, engine.version) == ("unicorn", "2.1.4")
    with pytest.raises(StudyError, match="did you mean 'unicorn'") as caught:
        load_engine("unicron")
    assert "engines: " in caught.value.hint


def test_a_broken_engine_package_is_an_error(monkeypatch):
    monkeypatch.setitem(registry._BUILT_IN, "broken", "crest.emulators.nowhere:Engine")
    with pytest.raises(EmulationError, match="cannot be loaded"):
        load_engine("broken")


def test_a_unicorn_that_counts_differently_is_refused(monkeypatch):
    monkeypatch.setattr(selftest, "_EXPECTED", {(0, 0, 0, 0)})
    selftest.check_unicorn.cache_clear()
    with pytest.raises(EmulationError, match=r"unicorn 2\.1\.4 does not work"):
        selftest.check_unicorn()
    monkeypatch.undo()
    selftest.check_unicorn()


def test_two_processes_build_the_hook_at_once(tmp_path):
    environment = {**os.environ, "CREST_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", "from crest.emulators.native import load_hooks; load_hooks()"]
    running = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(2)]
    for process in running:
        assert process.communicate(timeout=120)[1] == b""
        assert process.returncode == 0
    built = list((tmp_path / "native").iterdir())
    assert [path.suffix for path in built] == [".so"]
    ctypes.CDLL(str(built[0]))


def test_a_source_that_does_not_compile_is_a_toolchain_error(tmp_path, monkeypatch):
    source = tmp_path / "profile_hook.c"
    source.write_text("int broken(")
    monkeypatch.setenv("CREST_CACHE", str(tmp_path))
    monkeypatch.setattr(native, "asset_path", lambda *_parts: source)
    with pytest.raises(ToolchainError, match="cannot be built"):
        native.load_hooks.__wrapped__()
    assert list((tmp_path / "native").iterdir()) == []


def test_closed_machines_are_freed(elf, boot):
    engine = load_engine("unicorn")
    gone = []
    for _ in range(3):
        machine = engine.boot(elf, TARGET)
        machine.receive()
        gone.append(weakref.ref(machine._uc))
        machine.close()
        assert list(machine._uc.mem_regions()) == []
    del machine
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3
