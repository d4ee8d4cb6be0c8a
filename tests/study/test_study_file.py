import copy
from pathlib import Path

import pytest
import yaml

from crest.errors import StudyError
from crest.placement import Placement, uniform
from crest.study import Constraint, Study, load_study, parse_study
from crest.targets import load_target

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.yaml"))

MINIMAL = {
    "name": "walk",
    "workload": {"odometry": {"source": "generated"}},
    "model": {"family": "tcn"},
    "targets": ["some-board"],
    "policy": {"minimize": ["rmse_total", "energy_per_window_uj"]},
}


def with_value(path: str, value: object) -> dict:
    data = copy.deepcopy(MINIMAL)
    node = data
    *parents, last = path.split(".")
    for key in parents:
        node = node.setdefault(key, {})
    node[last] = value
    return data


def written(folder: Path, data: object) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_everything_but_the_question_has_a_default(tmp_path):
    study = load_study(written(tmp_path, MINIMAL))
    assert study.quantization == ("int8",)
    assert study.backend.emulated.engine == "unicorn"
    assert (study.toolchain.cc, study.toolchain.cflags) == ("zig", ())
    assert study.tflm_tree is None
    assert study.lowering == "optimized"
    assert study.schedule.continuous is not None
    assert study.schedule.cadenced is None
    assert study.search.workers == 1
    assert study.policy.subject_to == ()


@pytest.mark.parametrize(
    ("written", "cc", "cflags"),
    [
        ("gcc", "gcc", ()),
        ({"cflags": ["-O3"]}, "zig", ("-O3",)),
        ({"cc": "my-gcc", "cflags": ["-Os"]}, "my-gcc", ("-Os",)),
    ],
)
def test_a_toolchain_is_a_word_or_a_compiler_with_flags(written, cc, cflags):
    study = parse_study(with_value("toolchain", written))
    assert (study.compiler_command, study.toolchain.cflags) == (cc, cflags)


def test_a_compiler_in_a_folder_is_found_from_the_study(tmp_path):
    study = parse_study(with_value("toolchain", {"cc": "tools/gcc"}), folder=tmp_path)
    assert study.compiler_command == str(tmp_path.resolve() / "tools" / "gcc")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [("toolchain", "clang", "'clang' is not one of zig, gcc"), ("toolchain", {"flags": []}, "toolchain.flags"),
     ("lowering", "fast", "lowering")],
)  # fmt: skip
def test_a_build_that_does_not_exist_is_named(path, value, words):
    with pytest.raises(StudyError, match=words):
        parse_study(with_value(path, value))


def test_a_full_study_reads_as_written(tmp_path):
    text = """
name: walk-on-nano33
workload: {odometry: {source: generated}}
model: {family: tcn, space: {nb_filters: [2, 32]}}
quantization: [int8, float32]
targets: [nano33ble]
backend: {emulated: {engine: unicorn}}
toolchain: gcc
schedule: {cadenced: {period_ms: 200, sleep: sleep}}
reserve: {ram_bytes: 1000, flash_bytes: 2000, cpu_pct: 12.5}
battery_mah: 150
policy:
  minimize: [rmse_total, energy_per_window_uj]
  subject_to: [latency_ms <= 200, ram_bytes <= 200K, flash_bytes<=1M, accuracy >= 0.9]
search: {trials: 7, epochs: 3, patience: 2, batch_size: 16, learning_rate: 0.01, batch: 3, workers: 2,
         seed: 5, sampler: gp, startup_trials: 4}
"""
    path = tmp_path / "study.yaml"
    path.write_text(text)
    study = load_study(path)
    assert study.quantization == ("int8", "float32")
    assert study.schedule.cadenced.period_ms == 200
    assert study.schedule.cadenced.sleep == "sleep"
    assert study.reserve.cpu_pct == 12.5
    assert study.policy.subject_to == (
        Constraint(metric="latency_ms", comparison="<=", limit=200),
        Constraint(metric="ram_bytes", comparison="<=", limit=200 * 1024),
        Constraint(metric="flash_bytes", comparison="<=", limit=1024 * 1024),
        Constraint(metric="accuracy", comparison=">=", limit=0.9),
    )
    assert study.search.sampler == "gp"
    assert parse_study(study.model_dump(mode="json"), folder=tmp_path) == study


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"backend": "emulated"}, {"backend": {"emulated": {"engine": "unicorn"}}}),
        ({"schedule": "continuous"}, {}),
        ({"schedule": "cadenced"}, {"schedule": {"cadenced": {"sleep": "deep"}}}),
        ({"quantization": "float32"}, {"quantization": ["float32"]}),
        ({"targets": "some-board"}, {}),
        (
            {"policy": {"minimize": ["f"], "subject_to": ["ram_bytes<=2K"]}},
            {"policy": {"minimize": ["f"], "subject_to": ["ram_bytes <= 2048"]}},
        ),
        ({"search": {"workers": 4}}, {}),
    ],
)
def test_two_spellings_of_one_study_have_one_hash(short, long):
    assert parse_study({**MINIMAL, **short}).canonical_sha256() == parse_study({**MINIMAL, **long}).canonical_sha256()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "run"},
        {"quantization": "float32"},
        {"search": {"seed": 1}},
        {"search": {"batch": 1}},
        {"schedule": "cadenced"},
        {"policy": {"minimize": ["energy_per_window_uj", "rmse_total"]}},
    ],
)
def test_what_can_change_a_result_changes_the_hash(change):
    assert parse_study({**MINIMAL, **change}).canonical_sha256() != parse_study(MINIMAL).canonical_sha256()


def test_the_hash_does_not_depend_on_where_the_study_lies(tmp_path):
    data = with_value("targets", ["boards/mine.yaml"])
    (tmp_path / "elsewhere").mkdir()
    here, there = load_study(written(tmp_path, data)), load_study(written(tmp_path / "elsewhere", data))
    assert here.canonical_sha256() == there.canonical_sha256()
    assert here.target == str(tmp_path / "boards" / "mine.yaml")
    assert there.target == str(tmp_path / "elsewhere" / "boards" / "mine.yaml")


def test_relative_paths_start_from_the_study_file(tmp_path, monkeypatch):
    study = load_study(written(tmp_path, MINIMAL))
    monkeypatch.chdir("/")
    assert study.resolve("data/oxiod") == tmp_path / "data" / "oxiod"
    assert study.resolve("/data") == Path("/data")
    assert study.target == "some-board"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({**MINIMAL, "serach": {}}, ["'serach'", "did you mean 'search'"]),
        (with_value("search.trails", 3), ["search.trails", "did you mean 'trials'"]),
        (with_value("schedule", {"cadenced": {"perod_ms": 3}}), ["schedule.cadenced.perod_ms", "'period_ms'"]),
        (with_value("backend", {"emulated": {"engin": "unicorn"}}), ["backend.emulated.engin", "'engine'"]),
        (with_value("backend", "board"), ["backend", "'board'", "emulated"]),
        (with_value("backend", {"emulated": {"engine": "qemu"}}), ["backend.emulated.engine", "unicorn"]),
        (with_value("schedule", "cadence"), ["schedule", "'cadence'", "cadenced"]),
        (with_value("schedule", {"cadenced": {}, "continuous": {}}), ["schedule", "exactly one"]),
        (with_value("schedule", {}), ["schedule", "exactly one"]),
        (with_value("schedule", {"cadenced": {"period_ms": 0}}), ["schedule.cadenced.period_ms", "greater than 0"]),
        (with_value("workload", {}), ["workload", "one workload"]),
        (with_value("workload", {"odometry": {}, "audio": {}}), ["workload", "got 2 keys"]),
        (with_value("workload", "odometry"), ["workload"]),
        (with_value("workload", {"odometry": 3}), ["workload.odometry"]),
        (with_value("targets", ["a", "b"]), ["targets", "exactly one target", "got 2"]),
        (with_value("targets", []), ["targets", "exactly one target"]),
        (with_value("targets", ["a", {"a": {}}]), ["targets", "given twice: a"]),
        (with_value("targets", [3]), ["targets", "3 is neither a name"]),
        (with_value("targets", {"a": {"placment": "auto"}}), ["targets.a.placment", "did you mean 'placement'"]),
        (with_value("targets", {"a": {"clock_mhz": 0}}), ["targets.a.clock_mhz.0", "greater than 0"]),
        (with_value("targets", {"a": {"clock_mhz": "fast"}}), ["targets.a.clock_mhz.0", "number"]),
        (with_value("targets", {"a": {"clock_mhz": []}}), ["targets.a.clock_mhz", "at least 1 item"]),
        (with_value("targets", {"a": {"clock_mhz": [16, 80, 16]}}), ["targets.a.clock_mhz", "given twice: 16.0"]),
        (with_value("targets", {"a": {"placement": "flash"}}), ["targets.a.placement", "nor a mapping with code"]),
        (with_value("targets", {"a": {"placement": {"arena": 3}}}), ["targets.a.placement.arena"]),
        (with_value("quantization", "int4"), ["quantization.0", "int8"]),
        (with_value("quantization", []), ["quantization"]),
        (with_value("quantization", ["int8", "int8"]), ["quantization", "twice: int8"]),
        (with_value("policy.minimize", []), ["policy.minimize"]),
        (with_value("policy.minimize", ["a", "a"]), ["policy.minimize", "twice: a"]),
        (with_value("policy.subject_to", ["latency_ms < 200"]), ["policy.subject_to.0", "latency_ms <= 200"]),
        (with_value("policy.subject_to", ["latency_ms <= 200", "<= 3"]), ["policy.subject_to.1"]),
        (with_value("policy.subject_to", ["latency_ms <= 200K"]), ["policy.subject_to.0", "K stands for bytes"]),
        (with_value("policy.subject_to", ["ram_bytes <= inf"]), ["policy.subject_to.0"]),
        (with_value("policy.subject_to", ["ram_bytes <= 1e999"]), ["policy.subject_to.0", "finite"]),
        (with_value("policy.subject_to", [12]), ["policy.subject_to.0"]),
        (with_value("search.trials", 0), ["search.trials"]),
        (with_value("search.trials", "many"), ["search.trials", "integer"]),
        (with_value("search.sampler", "bayes"), ["search.sampler", "tpe"]),
        (with_value("search.learning_rate", -1), ["search.learning_rate"]),
        (with_value("reserve.cpu_pct", 100), ["reserve.cpu_pct", "less than 100"]),
        (
            with_value("schedule", {"cadenced": {"period_ms": 50, "wake_margin_ms": 50}}),
            ["schedule.cadenced.wake_margin_ms: 50 leaves nothing of period_ms 50"],
        ),
        (
            with_value(
                "schedule",
                {"cadenced": {"period_ms": 50, "sampling": {"power_uw": 1, "reason": "x", "collect_ms": 60}}},
            ),
            ["schedule.cadenced.sampling: collect_ms 60 is longer than period_ms 50"],
        ),
        (with_value("battery_mah", -5), ["battery_mah"]),
        (with_value("battery_mah", float("inf")), ["battery_mah"]),
        (with_value("battery_mah", 1e8), ["battery_mah"]),
        (with_value("name", "../walk"), ["name"]),
        (with_value("model", {"space": {}}), ["missing key 'model.family'"]),
        ({"name": "walk"}, ["missing key 'workload'", "missing key 'policy'"]),
    ],
)
def test_a_malformed_study_is_refused_with_the_place(tmp_path, data, expected):
    with pytest.raises(StudyError) as caught:
        load_study(written(tmp_path, data))
    for words in ["study.yaml", *expected]:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    "text", ["- a list", "name: [unclosed", "name: a\nname: b", "\x00", "!!python/object:os.system {}"]
)
def test_a_file_that_is_no_study_is_refused(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(StudyError, match=r"study\.yaml"):
        load_study(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"nowhere\.yaml: no such file"):
        load_study(tmp_path / "nowhere.yaml")


def test_a_study_cannot_be_changed():
    study = parse_study(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        study.name = "other"
    assert isinstance(study, Study)


@pytest.mark.parametrize(
    "text", ["latency_ms <= 200", "accuracy >= 0.95", "x <= -1.5e-07", "ram_bytes <= 204801", "a >= 0"]
)
def test_a_constraint_is_written_as_it_is_read(text):
    constraint = Constraint.parse(text)
    assert str(constraint) == text
    assert Constraint.parse(str(constraint)) == constraint


@pytest.mark.parametrize(
    ("text", "value", "violation"),
    [
        ("latency_ms <= 200", 250, 0.25),
        ("latency_ms <= 200", 200, 0.0),
        ("latency_ms <= 200", 150, -0.25),
        ("accuracy >= 0.5", 0.25, 0.5),
        ("accuracy >= 0.5", 0.75, -0.5),
        ("gain >= -2", -3, 0.5),
        ("loss <= 0", 3, 3.0),
    ],
)
def test_a_violation_is_relative_to_the_limit(text, value, violation):
    assert Constraint.parse(text).violation(value) == pytest.approx(violation)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("a", Placement()),
        ({"a": {}}, Placement()),
        ([{"a": {"placement": "auto"}}], uniform("auto")),
        ({"a": {"placement": {"code": "itcm", "weights": "auto"}}}, Placement(code="itcm", weights="auto")),
    ],
)
def test_a_target_is_a_name_or_a_name_with_its_options(tmp_path, targets, expected):
    study = load_study(written(tmp_path, with_value("targets", targets)))
    assert (study.target, study.placement) == ("a", expected)


@pytest.mark.parametrize(
    ("placement", "budget"),
    [("auto", 50 * 1024), ({"code": "auto", "ram_budget_bytes": 9}, 9), ({"code": "itcm"}, None)],
)
def test_auto_placement_keeps_to_the_constraint_on_ram(tmp_path, placement, budget):
    data = with_value("targets", {"a": {"placement": placement}})
    data["policy"]["subject_to"] = ["ram_bytes <= 60K", "ram_bytes <= 50K", "ram_bytes >= 1K", "flash_bytes <= 9K"]
    assert load_study(written(tmp_path, data)).placement.ram_budget_bytes == budget


@pytest.mark.parametrize(
    ("written", "tree"), [("crest", None), ("tflm", ""), ({"tflm": {}}, ""), ({"tflm": "trees/tflm"}, "{}/trees/tflm")]
)
def test_a_runtime_is_a_word_or_a_tree(tmp_path, written, tree):
    study = parse_study(with_value("runtime", written), folder=tmp_path)
    assert study.tflm_tree == (tree.format(tmp_path.resolve()) if tree else tree)
    assert (study.canonical_sha256() == parse_study(MINIMAL).canonical_sha256()) == (tree is None)


@pytest.mark.parametrize("written", ["litert", {}, {"crest": {}, "tflm": "x"}])
def test_a_runtime_that_makes_no_sense(written):
    with pytest.raises(StudyError, match="runtime"):
        parse_study(with_value("runtime", written))


@pytest.mark.parametrize(
    ("named", "clocks_mhz", "recorded"),
    [(None, (None,), None), (80, (80.0,), 80.0), ([80], (80.0,), 80.0), ([120, 16], (120.0, 16.0), [120.0, 16.0])],
)
def test_a_study_may_name_one_or_several_of_the_clocks_of_its_board(tmp_path, named, clocks_mhz, recorded):
    study = load_study(written(tmp_path, with_value("targets", {"a": {"clock_mhz": named}})))
    assert study.clocks_mhz == clocks_mhz
    dumped = study.model_dump(mode="json")
    assert dumped["targets"]["a"]["clock_mhz"] == recorded
    assert parse_study(dumped, folder=tmp_path) == study


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_studies_of_boards_and_clocks_that_exist(path):
    study = load_study(path)
    board = load_target(study.target)
    assert all(board.at(clock_mhz) for clock_mhz in study.clocks_mhz)


def test_one_clock_is_the_same_study_as_a_list_of_one():
    one, several = (parse_study(with_value("targets", {"a": {"clock_mhz": clock}})) for clock in (80, [80]))
    assert one.canonical_sha256() == several.canonical_sha256()
    more = parse_study(with_value("targets", {"a": {"clock_mhz": [80, 16]}}))
    assert more.canonical_sha256() != one.canonical_sha256()


@pytest.mark.parametrize(
    ("written_so", "runs"),
    [
        ("runs/a", {"runs/a": False}),
        (["runs/a", "runs/b"], {"runs/a": False, "runs/b": False}),
        (["runs/a", {"runs/b": {"repeat": True}}], {"runs/a": False, "runs/b": True}),
    ],
)
def test_a_warm_start_names_runs_and_how_they_are_used(written_so, runs):
    study = parse_study(with_value("search.warm_start", written_so))
    assert {name: options.repeat for name, options in study.search.warm_start.items()} == runs
    assert parse_study(study.model_dump(mode="json")).canonical_sha256() == study.canonical_sha256()
    assert study.canonical_sha256() != parse_study(MINIMAL).canonical_sha256()


def test_what_a_search_does_not_use_is_not_part_of_its_study():
    """A run that was begun before these options existed is resumed."""
    assert not {"warm_start", "population"} & parse_study(MINIMAL).model_dump(mode="json")["search"].keys()


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({"sampler": "nsga4"}, "search.sampler"),
        ({"sampler": "tpe", "population": 50}, "population: sampler tpe has none"),
        ({"sampler": "nsga2", "population": 1}, "search.population"),
        ({"warm_start": ["runs/a", "runs/a"]}, "given twice: runs/a"),
        ({"warm_start": {"runs/a": {"again": True}}}, "again"),
    ],
)
def test_a_search_that_makes_no_sense(search, words):
    with pytest.raises(StudyError) as caught:
        parse_study(with_value("search", search))
    assert words in str(caught.value)
