"""Rules that every target file keeps."""

from __future__ import annotations

import re
from itertools import pairwise
from types import SimpleNamespace

import pytest

from crest.assets import asset_path
from crest.emulators.bus import PAGE_BYTES, Bus
from crest.targets import load_target, target_names


@pytest.fixture(params=target_names())
def target(request):
    return load_target(request.param)


def test_names_are_those_of_the_file(target):
    assert target.name in target_names()
    assert target.mcu.lower()[:3] in target.description.lower()


def test_facts_have_sources(target):
    assert target.sources.facts
    assert all(len(fact) > 20 for fact in target.sources.facts)
    assert re.search(r"manual|specification|data ?sheet", " ".join(target.sources.facts)), "no document is named"


def test_regions_are_whole_pages_and_apart(target):
    for region in target.regions:
        assert region.base % PAGE_BYTES == 0 and region.size_bytes % PAGE_BYTES == 0, region.name
    for first, second in pairwise(sorted(target.regions, key=lambda region: region.base)):
        assert first.end <= second.base, (first.name, second.name)
    assert target.flash.kind == "flash"
    assert target.ram.kind != "flash"


def test_the_uart_is_among_the_peripherals_and_the_models_exist(target):
    assert target.uart in target.peripherals
    assert Bus(target, SimpleNamespace(clock_hz=lambda: 64e6)).uart is not None


def test_ready_flags_lie_inside_of_their_peripheral(target):
    for name, peripheral in target.peripherals.items():
        offsets = {*peripheral.registers, *peripheral.follows, *peripheral.follows_clear}
        rules = (*peripheral.follows.values(), *peripheral.follows_clear.values())
        flags = [flag for bits in rules for flag in bits.values()]
        offsets |= {flag[0] for flag in flags if not isinstance(flag, int)}
        assert all(0 <= offset < peripheral.size_bytes for offset in offsets), name
        assert peripheral.model == "registers" or not offsets, name


def test_firmware_is_told_apart_by_its_file_names(target):
    """The linker script puts objects called harness_* beside what ships."""
    folder = asset_path("firmware", "boards", target.firmware_board)
    sources = list(folder.glob("*.c"))
    assert sources
    assert all(path.name.startswith("harness_") for path in folder.parent.rglob("*.c"))
