"""Events of the memory system: known answers of programs written for them, and a slow reference on whole networks."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from crest.backends.emulated import EmulatedBackend, MachineTransport
from crest.backends.session import open_session
from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.count_names import EVENT_COUNTS
from crest.targets import Cache, MemoryGeometry, Target, load_target, target_names
from tests.emulators.cache_reference import Reference, Trace
from tests.emulators.firmware import TARGET, asm
from tests.model_writer import ModelWriter
from tests.models_small import residual_model

ART = MemoryGeometry(
    line_bytes=16,
    instruction_cache=Cache(line_bytes=16, lines=64, ways=64),
    data_cache=Cache(line_bytes=16, lines=8, ways=8),
    cached_regions=("flash",),
)
BUFFER = MemoryGeometry(line_bytes=8)
XIP = MemoryGeometry(
    line_bytes=8,
    instruction_cache=Cache(line_bytes=8, lines=2048, ways=2),
    unified=True,
    cached_regions=("flash",),
)
SMALL_XIP = XIP.model_copy(update={"instruction_cache": Cache(line_bytes=8, lines=64, ways=2)})
L1 = MemoryGeometry(
    line_bytes=32,
    instruction_cache=Cache(line_bytes=32, lines=64, ways=2),
    data_cache=Cache(line_bytes=32, lines=32, ways=4),
    cached_regions=("flash", "ram"),
)
# Two words of flash to a cache line, as on parts with 64-bit flash behind a cache of longer lines.
LONG_LINES = MemoryGeometry(
    line_bytes=8,
    instruction_cache=Cache(line_bytes=32, lines=32, ways=32),
    data_cache=Cache(line_bytes=32, lines=8, ways=8),
    cached_regions=("flash",),
)


def target_with(geometry, **changes):
    return TARGET.model_copy(update={"memory_geometry": geometry, **changes})


def events(boot, geometry, body):
    """Events of layer 0 of a program."""
    target = target_with(geometry)
    machine = boot(asm(body, target=target), target)
    machine.count_memory(True)
    machine.receive()
    counts = machine.profile().layers[0].counts
    return {name: counts.get(name, 0) for name in EVENT_COUNTS}


def added(boot, geometry, program, fewer, more):
    """What a larger number makes of a program beyond a smaller one."""
    before, after = (events(boot, geometry, program(number)) for number in (fewer, more))
    return {name: after[name] - before[name] for name in EVENT_COUNTS if after[name] != before[name]}


def straight(lines):
    return "  MARK 0xFFFFFFFE\n  MARK 0\n" + "  nop\n" * (8 * lines) + "  MARK 1\n  MARK 0xFFFFFFFF\n"


def loop(iterations, lines=4, line_bytes=16):
    """A loop that fills lines exactly."""
    body = "  nop\n" * (lines * line_bytes // 2 - 2)
    return f"""
  movs r5, #{iterations}
  MARK 0xFFFFFFFE
  MARK 0
  b 1f
  .balign 64
1:
{body}
  subs r5, #1
  bne.n 1b
  MARK 1
  MARK 0xFFFFFFFF
"""


def hops(iterations, places, apart=64):
    """A loop over lines that lie apart."""
    parts = "".join(f"  .balign {apart}\n{n}:\n  b {n + 1}f\n" for n in range(10, 10 + places))
    return f"""
  movs r5, #{iterations}
  MARK 0xFFFFFFFE
  MARK 0
  b 10f
{parts}
  .balign {apart}
  .space 16
{10 + places}:
  subs r5, #1
  bne.w 10b
  MARK 1
  MARK 0xFFFFFFFF
"""


def flash_reads(*offsets, load="ldr r1, [r4, #{}]"):
    reads = "\n".join("  " + load.format(offset) for offset in offsets)
    return f"""
  ldr r4, =constants
  MARK 0xFFFFFFFE
  MARK 0
{reads}
  MARK 1
  MARK 0xFFFFFFFF
  b 1f
  .balign 1024
constants: .space 1024
1:
"""


def ram_accesses(*accesses):
    return f"""
  ldr r4, =0x20000400
  MARK 0xFFFFFFFE
  MARK 0
{"".join(f"  {mnemonic} r1, [r4, #{offset}]" + chr(10) for mnemonic, offset in accesses)}
  MARK 1
  MARK 0xFFFFFFFF
"""


def test_straight_code_enters_a_line_every_so_many_bytes(boot):
    assert added(boot, BUFFER, straight, 20, 120) == {"fetch_lines_sequential": 200}
    assert added(boot, ART, straight, 20, 120) == {"fetch_lines_sequential": 100, "fetch_misses_sequential": 100}


def test_a_loop_that_fits_misses_once(boot):
    assert added(boot, ART, loop, 10, 60) == {"fetch_lines_branch": 50, "fetch_lines_sequential": 150}


@pytest.mark.parametrize(("lines", "thrashes"), [(5, False), (4, False), (3, True), (1, True)])
def test_a_loop_one_line_longer_than_the_cache_always_misses(boot, lines, thrashes):
    cache = Cache(line_bytes=16, lines=lines, ways=lines)
    found = added(boot, MemoryGeometry(line_bytes=16, instruction_cache=cache), loop, 10, 60)
    misses = {"fetch_misses_branch": 50, "fetch_misses_sequential": 150} if thrashes else {}
    assert found == {"fetch_lines_branch": 50, "fetch_lines_sequential": 150} | misses


def test_a_loop_within_a_line_enters_no_line(boot):
    assert added(boot, ART, lambda n: loop(n, lines=1), 10, 60) == {}


@pytest.mark.parametrize(("ways", "places", "misses"), [(2, 2, 0), (2, 3, 3), (4, 3, 0), (1, 2, 2)])
def test_lines_of_one_set_compete(boot, ways, places, misses):
    """Four sets of 16-byte lines: places 64 bytes apart share a set, and the end of the loop uses another."""
    geometry = MemoryGeometry(line_bytes=16, instruction_cache=Cache(line_bytes=16, lines=4 * ways, ways=ways))
    found = added(boot, geometry, lambda n: hops(n, places), 10, 60)
    assert found.pop("fetch_lines_branch") == 50 * (places + 1)
    assert found == ({"fetch_misses_branch": 50 * misses} if misses else {})


@pytest.mark.parametrize(
    ("offsets", "changes", "misses", "sequential"),
    [
        (range(0, 256, 4), 16, 16, 15),
        (range(0, 256, 16), 16, 16, 15),
        (range(0, 512, 32), 16, 16, 0),
        ((0, 16, 0, 16, 0), 5, 2, 1),
        ((0, 4, 8, 12, 0), 1, 1, 0),
        (tuple(range(0, 128, 16)) * 2, 16, 8, 7),  # eight lines fit
        (tuple(range(0, 144, 16)) * 2, 18, 18, 16),  # nine do not, and the one before the first is never there
    ],
)
def test_strided_reads_of_flash(boot, offsets, changes, misses, sequential):
    found = events(boot, ART, flash_reads(*offsets))
    names = ("flash_load_line_changes", "flash_load_misses", "flash_load_misses_sequential")
    assert tuple(found[name] for name in names) == (changes, misses, sequential)


def test_the_least_recently_used_line_goes(boot):
    geometry = ART.model_copy(update={"data_cache": Cache(line_bytes=16, lines=2, ways=2)})
    a, b, c = 0, 64, 128
    assert events(boot, geometry, flash_reads(a, b, a, c, a, b))["flash_load_misses"] == 4  # first in, first out: 5
    assert events(boot, geometry, flash_reads(a, b, c, a, b, c))["flash_load_misses"] == 6


def test_an_access_across_lines_touches_both(boot):
    assert events(boot, ART, flash_reads(14))["flash_load_misses"] == 2
    assert events(boot, ART, flash_reads(12))["flash_load_misses"] == 1
    assert events(boot, ART, flash_reads(12, load="vldr d0, [r4, #{}]"))["flash_load_misses"] == 2
    assert events(boot, ART, flash_reads(8, load="vldr d0, [r4, #{}]"))["flash_load_misses"] == 1


def test_without_caches_lines_are_counted_and_nothing_misses(boot):
    found = events(boot, BUFFER, flash_reads(0, 4, 8, 0))
    assert found["flash_load_line_changes"] == 3
    assert found["fetch_lines_branch"] and not any(found[name] for name in found if "miss" in name)


def test_stores_allocate_and_are_written_back(boot):
    geometry = MemoryGeometry(
        line_bytes=16, data_cache=Cache(line_bytes=16, lines=2, ways=2), cached_regions=("flash", "ram")
    )
    a, b, c, d = 0, 64, 128, 192

    def misses(*accesses):
        found = events(boot, geometry, ram_accesses(*accesses))
        return tuple(found[name] for name in ("ram_load_misses", "ram_store_misses", "write_backs"))

    assert misses(("str", a), ("str", a + 4), ("ldr", a + 8)) == (0, 1, 0)
    assert misses(("str", a), ("ldr", b), ("ldr", c)) == (2, 1, 1)
    assert misses(("ldr", a), ("str", a), ("ldr", b), ("ldr", c), ("ldr", d)) == (4, 0, 1)
    assert misses(("str", a), ("str", b), ("str", c), ("str", d), ("ldr", a)) == (1, 4, 3)
    uncached = geometry.model_copy(update={"cached_regions": ("flash",)})
    assert events(boot, uncached, ram_accesses(("str", a), ("ldr", b)))["ram_load_misses"] == 0


def reading_loop(iterations):
    """A loop over two lines of code that reads a third."""
    return f"""
  ldr r4, =constant
  movs r5, #{iterations}
  MARK 0xFFFFFFFE
  MARK 0
  b 1f
  .balign 64
1: ldr r1, [r4]
  b 2f
  .balign 64
2: subs r5, #1
  bne 1b
  MARK 1
  MARK 0xFFFFFFFF
  b 3f
  .balign 64
constant: .word 1
3:
"""


@pytest.mark.parametrize(("lines", "unified", "code", "data"), [(4, True, 0, 0), (2, True, 2, 1), (2, False, 0, 0)])
def test_code_and_constants_share_a_unified_cache(boot, lines, unified, code, data):
    cache = Cache(line_bytes=64, lines=lines, ways=lines)
    geometry = MemoryGeometry(
        line_bytes=64,
        instruction_cache=cache,
        data_cache=None if unified else cache,
        unified=unified,
        cached_regions=("flash",),
    )
    found = added(boot, geometry, reading_loop, 10, 60)
    assert found.get("fetch_misses_branch", 0) == 50 * code
    assert found.get("flash_load_misses", 0) == 50 * data
    assert found["fetch_lines_branch"] == 100


def test_a_window_begins_with_empty_caches(boot):
    """Whatever ran before: the same window counts the same."""
    window = "  MARK 0xFFFFFFFE\n  MARK {}\n  bl reads\n  MARK 0xFFFFFFFF\n"
    target = target_with(ART)

    def counted(windows):
        body = "  ldr r4, =constants\n" + "".join(window.format(0) for _ in range(windows)) + "  b 1f\n"
        body += "reads:\n  ldr r1, [r4]\n  ldr r1, [r4, #64]\n  bx lr\n  .balign 64\nconstants: .space 128\n1:\n"
        machine = boot(asm(body, target=target), target)
        machine.count_memory(True)
        machine.receive()
        return machine.profile().layers[0].counts["flash_load_misses"]

    assert counted(1) == counted(3) == 2


def test_events_are_those_of_their_layer(boot):
    body = """
  ldr r4, =constants
  MARK 0xFFFFFFFE
  MARK 0
  ldr r1, [r4]
  MARK 1
  ldr r1, [r4]
  ldr r1, [r4, #32]
  ldr r1, [r4, #64]
  MARK 0xFFFFFFFF
  b 1f
  .balign 64
constants: .space 128
1:
"""
    machine = boot(asm(body, target=target_with(ART)), target_with(ART))
    machine.count_memory(True)
    machine.receive()
    assert [layer.counts["flash_load_misses"] for layer in machine.profile().layers] == [1, 2]


def test_no_events_without_a_description_or_without_counting(boot):
    for geometry, counted in ((None, True), (ART, False)):
        target = target_with(geometry)
        machine = boot(asm(straight(4), target=target), target)
        machine.count_memory(counted)
        machine.receive()
        assert not set(machine.profile().total()) & set(EVENT_COUNTS)


def convolutions(seed):
    writer = ModelWriter(np.random.default_rng(seed))
    source = writer.activation((1, 7, 6, 3))
    x = writer.depthwise(writer.conv(source, 8, activation="relu"), same=True)
    return writer.model([source], [writer.dense(writer.mean(x), 4)])


@pytest.mark.parametrize(
    ("core", "fpu", "geometry"),
    [
        ("cortex-m4", "single", ART),
        ("cortex-m4", "single", LONG_LINES),
        ("cortex-m7", "double", L1),
        ("cortex-m0plus", "none", XIP),
        ("cortex-m0plus", "none", SMALL_XIP),
        ("cortex-m0plus", "none", BUFFER),
    ],
)
@pytest.mark.parametrize("model", [residual_model(), convolutions(1)], ids=["residual", "convolutions"])
def test_networks_against_a_slow_reference(boot, core, fpu, geometry, model):
    target = target_with(geometry, core=core, fpu=fpu)
    program = build_program(lower_graph(import_tflite(model), target.core), target, target_toolchain("zig", target))
    machine = boot(program.elf, target)
    session = open_session(MachineTransport(machine), program)
    session.load(program.golden[0].inputs)
    session.run()
    machine.count_memory(True)
    trace = Trace(machine)
    session.run()
    profile = machine.profile()
    counted = {-1: profile.overhead, **{layer.index: layer.counts for layer in profile.layers}}
    found = {row: {k: v for k, v in counts.items() if k in EVENT_COUNTS} for row, counts in counted.items()}
    assert {row: counts for row, counts in found.items() if counts} == Reference(target).replay(trace.steps)
    total = profile.total()
    assert total["fetch_lines_branch"] > 50 and total["flash_load_line_changes"] > 50


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (lambda: Cache(line_bytes=12, lines=4, ways=4), "powers of two"),
        (lambda: Cache(line_bytes=16, lines=6, ways=2), "powers of two"),
        (lambda: Cache(line_bytes=16, lines=4, ways=3), "powers of two"),
        (lambda: MemoryGeometry(line_bytes=32, data_cache=Cache(line_bytes=16, lines=4, ways=4)), "not more than"),
        (lambda: MemoryGeometry(line_bytes=8, unified=True), "unified"),
    ],
)
def test_a_geometry_that_cannot_be_is_refused(geometry, message):
    with pytest.raises(ValidationError, match=message):
        geometry()


@pytest.mark.parametrize("name", [name for name in target_names() if load_target(name).memory_geometry])
def test_boards_that_describe_their_memories_count_their_events(name):
    target = load_target(name)
    program = build_program(
        lower_graph(import_tflite(residual_model()), target.core), target, target_toolchain("zig", target)
    )
    total = EmulatedBackend().run(program).profile.total()
    assert total["fetch_misses_sequential"] and total["flash_load_misses"]
    assert bool(total.get("ram_store_misses")) == (target.data_region in target.memory_geometry.cached_regions)


def test_a_target_caches_regions_that_it_has():
    stored = TARGET.model_dump()
    assert Target.model_validate({**stored, "memory_geometry": L1.model_dump()}).memory_geometry == L1
    elsewhere = {"line_bytes": 8, "cached_regions": ["nowhere"]}
    with pytest.raises(ValidationError, match="no memory region named 'nowhere'"):
        Target.model_validate({**stored, "memory_geometry": elsewhere})
