"""One board at several clocks: what is built, and what its memories make it wait."""

from __future__ import annotations

import pytest

from crest.backends.emulated import EmulatedBackend
from crest.errors import StudyError
from crest.pricing import Conditions, Pricing, Reserve
from crest.schedule import Continuous
from crest.targets import load_target
from crest.timing import load_cycle_model
from crest.timing.memory_system import load_memory_timing

L4R5 = load_target("nucleo-l4r5zi").model_copy(update={"clock_mhz": (16, 80, 120)})
F446 = load_target("nucleo-f446re").model_copy(update={"clock_mhz": (84, 180)})


def test_a_clock_that_the_board_does_not_have_is_said():
    with pytest.raises(StudyError, match="nucleo-l4r5zi has no clock of 100 MHz") as caught:
        L4R5.at(100)
    assert caught.value.hint == "clocks: 16, 80, 120 MHz"
    assert L4R5.at(None).clock_mhz == (120,)
    assert L4R5.at(80).every_clock_mhz == (16, 80, 120)
    single = load_target("nano33ble")
    assert single.at(64) is single


def test_stalls_shrink_with_the_wait_states_and_keep_their_upper_end():
    # 5 wait states at 120 MHz, 3 at 80, none at 16.
    full, some, none = (L4R5.at(clock_mhz).fetch_stall_factor for clock_mhz in (120, 80, 16))
    assert full == L4R5.fetch_stall_factor
    assert some.value - 1 == pytest.approx(0.6 * (full.value - 1))
    assert some.high == none.high == full.high
    assert (none.low, none.value, none.kind) == (1, 1, "declared")
    assert "60% of the wait states" in some.reason
    unknown = L4R5.model_copy(update={"wait_states": {}}).at(80).fetch_stall_factor
    assert (unknown.low, unknown.value, unknown.high) == (1, full.value, full.high)


def cycles_of(target, count):
    return {term.count: term for term in load_memory_timing(target).terms}[count]


def test_reads_of_flash_spare_the_wait_states_that_a_clock_has_less():
    assert cycles_of(L4R5.at(120), "flash_load_misses").cycles == 5
    assert cycles_of(L4R5.at(80), "flash_load_misses").cycles == 3
    assert cycles_of(L4R5.at(16), "flash_load_misses").cycles == 0
    assert cycles_of(L4R5.at(16), "flash_load_misses").high == cycles_of(L4R5.at(120), "flash_load_misses").high
    there, slower = F446.at(180), F446.at(84)
    assert cycles_of(there, "flash_load_misses").cycles - cycles_of(slower, "flash_load_misses").cycles == 3
    assert cycles_of(there, "ld_use") == cycles_of(slower, "ld_use")
    assert load_memory_timing(L4R5.model_copy(update={"wait_states": {}}).at(80)) is None


def test_a_flash_that_is_clocked_from_the_core_waits_the_same_number_of_cycles():
    pico = load_target("rp2040-pico").model_copy(update={"clock_mhz": (48, 133)})
    assert cycles_of(pico.at(48), "flash_load_misses") == cycles_of(pico.at(133), "flash_load_misses")


def test_prices_at_two_clocks_never_mix():
    def key(clock_mhz):
        board = L4R5.at(clock_mhz)
        conditions = Conditions(board, Continuous(), Reserve(), max(board.clock_mhz))
        return Pricing(conditions, EmulatedBackend()).key("the same graph")

    assert len({key(16), key(80), key(120)}) == 3
    assert "memories" in load_cycle_model(L4R5.at(80)).identity
