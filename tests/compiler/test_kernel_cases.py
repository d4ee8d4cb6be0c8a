"""Every kernel on generated layers: its host build and its code on emulated cores against TFLM's reference kernels.

2,000 layers for each kernel on the host, 100 on each core. All kernels are linked once for a machine and cases are sent
as data. The part that is not marked slow takes some seconds.
"""

from __future__ import annotations

import pytest

from tests.kernels import (  # noqa: F401 - they register their generators
    averaging_layers,
    elementwise_layers,
    int16_layers,
    moving_layers,
    weighted_layers,
)
from tests.kernels.campaign import run_campaign
from tests.kernels.declarations import declarations
from tests.kernels.machines import CORES, emulated, host
from tests.kernels.registry import GENERATORS

HOST_CASES, HOST_CASES_QUICK = 2000, 100
CORE_CASES, CORE_CASES_QUICK = 100, 10

generators = pytest.mark.parametrize("generator", GENERATORS.values(), ids=lambda generator: generator.name)


def test_every_kernel_has_a_generator():
    assert {name for generator in GENERATORS.values() for name in generator.kernels} == set(declarations().kernels)


@generators
@pytest.mark.parametrize(
    ("first", "cases"),
    [(0, HOST_CASES_QUICK), pytest.param(HOST_CASES_QUICK, HOST_CASES - HOST_CASES_QUICK, marks=pytest.mark.slow)],
)
def test_host(generator, first, cases):
    assert set(generator.kernels) <= set(run_campaign(generator, CORES, host(), cases, first))


@generators
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(
    ("first", "cases"),
    [(0, CORE_CASES_QUICK), pytest.param(CORE_CASES_QUICK, CORE_CASES - CORE_CASES_QUICK, marks=pytest.mark.slow)],
)
def test_emulated(generator, core, first, cases):
    run_campaign(generator, [core], emulated(core), cases, first)
