"""Target and memory files that are well-formed YAML and make no sense end in an error that names the place."""

from __future__ import annotations

import copy
import math

import pytest
import yaml

from crest.assets import asset_path
from crest.backends.emulated import EmulatedBackend
from crest.errors import AssetError, StudyError
from crest.placement import Placement
from crest.pricing import BuildOptions, Conditions, Pricing, Reserve
from crest.schedule import Continuous
from crest.targets import Target, load_target
from crest.timing.memory_system import MemoryTiming
from crest.yaml_io import validate

BOARD = yaml.safe_load(asset_path("emulation", "targets", "disco-f746ng.yaml").read_text())
MEMORY = yaml.safe_load(asset_path("emulation", "memories", "disco-f746ng.yaml").read_text())


def changed(data, path, value):
    data = copy.deepcopy(data)
    *parents, last = path
    node = data
    for key in parents:
        node = node[key]
    node[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("wait_states",), {108: 9, 216: 1}, "a faster clock needs no fewer"),
        (("wait_states",), {-5: 1}, "wait_states"),
        (("fetch_stall_factor", "high"), math.inf, "fetch_stall_factor.high"),
        (("supply", "volt"), math.nan, "supply.volt"),
        (("supply", "volt"), -3, "supply.volt"),
        (("peripherals", "rcc", "registers"), {0x2000: 5}, "register 0x2000 lies beyond the 0x400 bytes"),
        (("peripherals", "rcc", "registers"), {3: 5}, "peripherals.rcc.registers"),
        (("peripherals", "rcc", "registers"), {0x20: 1 << 40}, "peripherals.rcc.registers"),
        (("peripherals", "rcc", "follows"), {0: {0: [0x2000, 1]}}, "register 0x2000 lies beyond"),
        (("peripherals", "rcc", "base"), 0x40023801, "peripherals.rcc.base"),
        (("peripherals", "rcc", "base"), 0xFFFFFF00, "beyond the 32-bit addresses"),
        (("regions", 0, "base"), 0xFFFFF000, "beyond the 32-bit addresses"),
        (("regions", 0, "name"), "a/b c", "regions.0.name"),
        (("data_region",), "flash", "code_region is a flash, and data_region is none"),
        (("code_region",), "ram", "code_region is a flash, and data_region is none"),
    ],
)
def test_a_target_that_makes_no_sense(path, value, message):
    validate(BOARD, Target, "board.yaml", AssetError)
    with pytest.raises(AssetError, match=message):
        validate(changed(BOARD, path, value), Target, "board.yaml", AssetError)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("terms", 0, "high"), math.inf, "terms.0.high"),
        (("terms", 0, "count"), MEMORY["terms"][1]["count"], "terms that stand twice"),
        (("candidate_error", "high"), math.inf, "candidate_error.high"),
        (("clock_mhz",), math.inf, "clock_mhz"),
        (("domain",), {"nope": [0, 1]}, "domain: no such counts: nope"),
        (("domain",), {"ld": [1, 0]}, "domain: empty ranges: ld"),
        (("domain",), {"ld": [math.nan, math.nan]}, "domain: empty ranges: ld"),
    ],
)
def test_a_memory_file_that_makes_no_sense(path, value, message):
    validate(MEMORY, MemoryTiming, "board.memory.yaml", AssetError)
    with pytest.raises(AssetError, match=message):
        validate(changed(MEMORY, path, value), MemoryTiming, "board.memory.yaml", AssetError)


def test_a_mistyped_code_region_is_called_that():
    board = load_target("disco-f746ng")
    conditions = Conditions(board, Continuous(), Reserve(), max(board.clock_mhz))
    with pytest.raises(StudyError, match="has no memory region 'nosuch'"):
        Pricing(conditions, EmulatedBackend(), BuildOptions(placement=Placement(code="nosuch")))
