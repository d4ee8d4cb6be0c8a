from __future__ import annotations

import pytest

from crest.emulators import hooks
from crest.emulators.unicorn_engine import UnicornEngine
from tests.emulators.firmware import TARGET


@pytest.fixture
def boot():
    """Boot an ELF; every machine is closed at the end of the test."""
    machines = []

    def make(elf, target=TARGET, cycles=None, **options):
        machine = UnicornEngine(**options).boot(elf, target, cycles)
        machines.append(machine)
        return machine

    yield make
    for machine in machines:
        machine.close()


@pytest.fixture(params=["lazy PC", "PC looked up"])
def memory_hook(request, monkeypatch):
    """Accesses are counted in both ways that there are."""
    if request.param == "PC looked up":
        monkeypatch.setattr(hooks, "flag_address", lambda _uc: 0)
