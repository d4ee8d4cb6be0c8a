"""What a recorded run gives to a replay, and which runs are refused."""

import pytest

from crest.errors import LedgerError, ModelError
from crest.ledger import FinishedRecord, Ledger, TrialRecord, read_run
from crest.replay import read_source
from tests.replay.replay_stubs import recorded_run


@pytest.fixture
def run(tmp_path):
    return recorded_run(tmp_path / "run")


def cut(run, lines):
    """Keep the first lines of the ledger, all but the last for -1."""
    ledger = run / "ledger.jsonl"
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:lines]))


def test_the_front_in_full_and_what_it_cost(run):
    source = read_source(run)
    finished = read_run(run)[1][-1]
    assert isinstance(finished, FinishedRecord)
    assert {network.number for network in source.networks} == set(finished.front)
    for network in source.networks:
        assert network.tflite == f"model {network.number}".encode()
        assert network.measurement == network.entry.member.measurement
        assert network.recorded.keys() >= {"rmse_total", "rmse_x", "flops", "macs"}
    assert source.error_metrics == ("rmse_total", "rmse_x")


def test_all_trials_are_those_that_were_trained(run):
    source = read_source(run, all_trials=True)
    trained = [r.number for r in read_run(run)[1] if isinstance(r, TrialRecord) and r.state == "complete"]
    numbers = [network.number for network in source.networks]
    assert sorted(numbers) == sorted(trained) and source.left_out == ()
    front = [network.number for network in read_source(run).networks]
    assert numbers[: len(front)] == front and len(front) < len(numbers)


def test_a_network_of_several_clocks_is_replayed_once(tmp_path):
    policy = {"minimize": ["rmse_total", "energy_per_inference_uj", "latency_ms"]}
    source = read_source(recorded_run(tmp_path / "run", policy=policy, clock_mhz=[32, 64]))
    numbers = [network.number for network in source.networks]
    assert len(numbers) == len(set(numbers)) < len(read_run(tmp_path / "run")[1][-1].front)


def test_a_model_file_that_is_gone(run):
    source = read_source(run, all_trials=True)
    front = {network.number for network in read_source(run).networks}
    other = next(network.number for network in source.networks if network.number not in front)
    (run / "models" / str(other)).unlink()
    assert read_source(run, all_trials=True).left_out == (other,)
    member = min(front)
    (run / "models" / str(member)).unlink()
    with pytest.raises(ModelError, match=f"the model file of trial {member} is gone"):
        read_source(run)


def test_a_folder_without_a_ledger(tmp_path):
    with pytest.raises(LedgerError, match="cannot be read"):
        read_source(tmp_path)


def test_a_run_that_is_not_finished(run):
    """It has no front yet; what it trained can be replayed: a search that found nothing feasible never finishes."""
    trained = len(read_source(run, all_trials=True).networks)
    cut(run, -1)
    with pytest.raises(LedgerError, match="not finished") as caught:
        read_source(run)
    assert f"crest resume {run}" in caught.value.hint and "--all-trials" in caught.value.hint
    assert len(read_source(run, all_trials=True).networks) == trained


def test_a_run_with_an_empty_front(run):
    finished = read_run(run)[1][-1]
    cut(run, -1)
    with Ledger(run / "ledger.jsonl") as ledger:
        ledger.append(finished.model_copy(update={"front": ()}))
    with pytest.raises(LedgerError, match="front of this run is empty") as caught:
        read_source(run)
    assert "--all-trials" in caught.value.hint


def test_a_run_that_trained_nothing(run):
    cut(run, 1)
    with pytest.raises(LedgerError, match="no trained network has a model file"):
        read_source(run, all_trials=True)
