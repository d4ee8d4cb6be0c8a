"""What a replay asks for is checked before anything is built."""

from dataclasses import replace

import pytest

from crest.assets import asset_path
from crest.errors import StudyError
from crest.placement import AS_TARGET
from crest.replay import Choices, changed_policy, plan_replay, read_source, recorded_schedule
from crest.schedule import Cadenced, Continuous
from crest.study import Policy, parse_study
from tests.replay.replay_stubs import recorded_run


@pytest.fixture(scope="module")
def stub_source(tmp_path_factory):
    return read_source(recorded_run(tmp_path_factory.mktemp("recorded") / "run"))


def on_board(source, targets="nano33ble", **changes):
    """The same networks, as a study of a real board would have them."""
    written = source.study.model_dump(mode="json") | {"targets": targets, "schedule": "continuous", **changes}
    return replace(source, study=parse_study(written))


@pytest.fixture
def source(stub_source):
    return on_board(stub_source)


def test_what_is_not_changed_is_that_of_the_run(source):
    plan = plan_replay(source, Choices())
    assert [board.label for board in plan.boards] == ["nano33ble 64 MHz"]
    assert plan.policy == source.study.policy and plan.schedule == Continuous()
    assert plan.metric == "energy_per_inference_uj"


def test_boards_and_clocks(source, stub_source):
    plan = plan_replay(source, Choices(targets=["nucleo-l4r5zi"], clocks_mhz=[16, 80]))
    assert [board.label for board in plan.boards] == ["nucleo-l4r5zi 16 MHz", "nucleo-l4r5zi 80 MHz"]
    clocked = on_board(stub_source, {"nucleo-l4r5zi": {"clock_mhz": [80, 16]}})
    plan = plan_replay(clocked, Choices(targets=["nucleo-l4r5zi", "nano33ble"]))
    assert [board.clock_mhz for board in plan.boards] == [80, 16, 64]


def test_a_memory_of_one_board_is_not_asked_of_another(stub_source):
    placed = on_board(stub_source, {"disco-f746ng": {"placement": {"code": "itcm"}}})
    own, other = plan_replay(placed, Choices(targets=["disco-f746ng", "nano33ble"])).boards
    assert own.placement.code == "itcm" and other.placement == AS_TARGET
    chosen = on_board(stub_source, {"disco-f746ng": {"placement": "auto"}})
    assert plan_replay(chosen, Choices(targets=["nano33ble"])).boards[0].placement.has_auto


def test_the_file_of_the_own_board_is_known_by_its_path_and_needed_only_there(stub_source, tmp_path):
    text = asset_path("emulation", "targets", "nucleo-l4r5zi.yaml").read_text()
    mine = tmp_path / "mine.yaml"
    mine.write_text(text.replace("name: nucleo-l4r5zi", "name: mine"))
    clocked = on_board(stub_source, {str(mine): {"clock_mhz": 16}}, policy={"minimize": ["latency_ms"]})
    assert [board.label for board in plan_replay(clocked, Choices()).boards] == ["mine 16 MHz"]
    mine.unlink()
    assert plan_replay(clocked, Choices(targets=["nano33ble"])).boards[0].label == "nano33ble 64 MHz"


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (Choices(targets=["nucleo-l4r5z"]), "did you mean 'nucleo-l4r5zi'?"),
        (Choices(targets=["nano33ble", "nano33ble"]), "given twice: nano33ble 64 MHz"),
        (Choices(clocks_mhz=[65]), "no clock of 65"),
        (Choices(policy=Policy(minimize=("rmse_totl",))), "did you mean 'rmse_total'?"),
        (Choices(metric="rmse_total"), "'rmse_total' is no measured cost"),
    ],
)
def test_nonsense_is_refused(source, choices, words):
    with pytest.raises(StudyError) as caught:
        plan_replay(source, choices)
    assert words in str(caught.value) and caught.value.hint


def test_a_policy_on_energy_is_refused_where_a_board_has_no_energy_model(source, tmp_path):
    text = asset_path("emulation", "targets", "nano33ble.yaml").read_text()
    bare = tmp_path / "bare.yaml"
    bare.write_text(text.replace("name: nano33ble", "name: bare"))
    with pytest.raises(StudyError, match="energy_per_inference_uj is not known on target 'bare'"):
        plan_replay(source, Choices(targets=["nucleo-l4r5zi", str(bare)]))
    latency = changed_policy(source.study.policy, ["rmse_total", "latency_ms"], [])
    assert plan_replay(source, Choices(targets=[str(bare)], policy=latency)).metric == "latency_ms"


def test_a_changed_policy_keeps_what_is_not_named(source):
    own = source.study.policy
    assert changed_policy(own, ["latency_ms"], []).subject_to == own.subject_to
    stricter = changed_policy(own, [], ["latency_ms <= 5"])
    assert stricter.minimize == own.minimize and [str(item) for item in stricter.subject_to] == ["latency_ms <= 5"]
    with pytest.raises(StudyError, match="--minimize, --subject-to"):
        changed_policy(own, [], ["latency_ms < 5"])
    scored = Policy.model_validate(
        {"score": [{"metric": "half", "weight": -1}], "maximize": ["flops"], "derive": {"half": "latency_ms / 2"}}
    )
    assert changed_policy(scored, ["half"], []).objectives == ("half",)
    assert changed_policy(scored, [], ["half <= 3"]).objectives == ("flops", "score")


def test_the_period_of_a_run_is_that_of_its_windows(stub_source):
    generated = {"odometry": {"source": "generated", "minutes": 2}}
    study = on_board(stub_source, schedule={"cadenced": {"sleep": "sleep"}}, workload=generated).study
    assert recorded_schedule(study) == Cadenced(period_ms=200, sleep="sleep")
