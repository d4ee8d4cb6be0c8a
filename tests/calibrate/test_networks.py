"""Sampled networks build without extras, run with their outputs checked, and differ in what they execute."""

from __future__ import annotations

import numpy as np
import pytest

from crest.backends.emulated import EmulatedBackend
from crest.calibrate.networks import sample_graph, sampled_networks
from crest.calibrate.probes import run_probes
from crest.compiler.build import lower_graph
from crest.compiler.host import HostModel
from crest.errors import CapacityError, StudyError
from crest.targets import load_target

KINDS = ("convolutional", "separable", "dense", "temporal")


@pytest.mark.parametrize("name", ["nucleo-g0b1re", "nucleo-l4r5zi", "disco-f746ng"])
def test_a_handful_runs_on_every_core(name):
    target = load_target(name)
    programs = sampled_networks(target, count=5)
    rows = run_probes(EmulatedBackend(), programs)
    for program, row in zip(programs, rows, strict=True):
        assert (row.name, row.group, row.sleep) == (program.name, "network", None)
        macs = {op.kind: 0 for op in program.graph.operators}
        for op in program.graph.operators:
            macs[op.kind] += program.graph.macs(op)
        assert row.macs_by_operator == {kind: number for kind, number in macs.items() if number}
        assert row.counts["instructions"] > 0.5 * sum(macs.values())
        assert row.run_ms > 0
    assert [row.name for row in rows] == [f"{KINDS[number % 4]}{number}" for number in range(5)]


def test_a_seed_decides_the_networks_and_more_of_them_change_none():
    target = load_target("nano33ble")
    few, more, other = (sampled_networks(target, count, seed) for count, seed in ((1, 3), (2, 3), (1, 4)))
    assert few[0].elf == more[0].elf != other[0].elf
    assert few[0].golden == more[0].golden


@pytest.mark.parametrize("number", range(8))
def test_activations_stay_alive(number):
    """Neither saturated nor constant, or the data of the networks would be none that code meets."""
    graph = sample_graph(seed=1, number=number)
    assert 50_000 <= sum(map(graph.macs, graph.operators)) <= 1_500_000
    lowered = lower_graph(graph)
    inputs = np.random.default_rng(0).integers(-128, 128, (64, graph.tensors[0].elements), dtype=np.int8)
    with HostModel(lowered.graph, lowered.sources) as host:
        outputs = np.frombuffer(host.run_bytes(inputs.tobytes()), np.int8).reshape(64, -1)
    assert (np.abs(outputs.astype(int)) < 127).mean() > 0.7
    assert outputs.std() > 2
    assert (outputs.std(axis=0) > 0).mean() > 0.7


def test_what_does_not_fit_is_drawn_again_and_then_refused():
    target = load_target("nano33ble")
    flash, ram = target.regions
    tight = target.model_copy(update={"regions": (flash, ram.model_copy(update={"size_bytes": 0x4000}))})
    for program in sampled_networks(tight, count=4):
        assert program.memory.ram_total_bytes <= 0x4000
    tiny = target.model_copy(update={"regions": (flash.model_copy(update={"size_bytes": 0x1000}), ram)})
    with pytest.raises(CapacityError, match="no room for any of 10 small networks"):
        sampled_networks(tiny, count=1)


def test_a_senseless_count_is_refused():
    with pytest.raises(StudyError, match="0 sampled networks"):
        sampled_networks(load_target("nano33ble"), count=0)
