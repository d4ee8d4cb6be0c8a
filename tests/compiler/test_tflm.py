"""The runtime `tflm`: the whole road with a stand-in for TFLite Micro's sources, and with real ones where given."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from crest.backends.emulated import EmulatedBackend
from crest.compiler.importer import import_tflite
from crest.compiler.project import write_c_project
from crest.compiler.tflm import open_tflm
from crest.compiler.tflm.emit import emit_model
from crest.compiler.tflm.library import compile_glue, require_cxx
from crest.compiler.tflm.tree import TREE_VARIABLE, read_tree
from crest.compiler.toolchain import CompilerChoice, target_toolchain
from crest.errors import BackendError, CapacityError, EmulationError, ModelError, StudyError, ToolchainError
from crest.placement import Placement, uniform
from crest.pricing import BuildOptions, Conditions, Pricing, Reserve
from crest.schedule import Continuous
from crest.targets import load_target
from tests.kernels.machines import TARGETS
from tests.model_writer import ModelWriter
from tests.models_small import dense_model
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

TREE = Path(__file__).resolve().parents[1] / "tflm_tree"
TARGET = load_target("nano33ble")
MICRO = "tensorflow/lite/micro"
KERNEL = "third_party/cmsis_nn/Source/FullyConnectedFunctions/arm_fully_connected_s8.c"


@pytest.fixture(scope="module")
def gcc():
    """The compiler of a target; skips where there is none that can compile C++."""
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    try:
        require_cxx(target_toolchain("gcc", TARGET))
    except ToolchainError as exc:
        pytest.skip(exc.message)
    return lambda target=TARGET, cflags=(): target_toolchain("gcc", target, cflags)


@pytest.fixture
def tree(tmp_path):
    """A copy of the stand-in that a test may change."""
    return Path(shutil.copytree(TREE, tmp_path / "tree"))


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def network(depth: int = 12, hidden: int = 9, units: int = 5) -> bytes:
    """RESHAPE, FULLY_CONNECTED with a rectifier, FULLY_CONNECTED: all that the stand-in can run."""
    rng = np.random.default_rng(3)

    def weights(rows, columns):
        return TensorSpec((rows, columns), scale=[0.013], data=rng.integers(-127, 128, (rows, columns), dtype=np.int8))

    def bias(rows):
        return TensorSpec((rows,), "int32", scale=[0.0005], data=rng.integers(-999, 999, rows).astype(np.int32))

    tensors = [
        TensorSpec((1, 2, depth // 2), scale=[0.05], zero_point=[3]),
        TensorSpec((2,), "int32", data=np.array([1, depth], np.int32)),
        TensorSpec((1, depth), scale=[0.05], zero_point=[3]),
        weights(hidden, depth), bias(hidden), TensorSpec((1, hidden), scale=[0.09], zero_point=[-7]),
        weights(units, hidden), bias(units), TensorSpec((1, units), scale=[0.11], zero_point=[11]),
    ]  # fmt: skip
    ops = [
        OpSpec("RESHAPE", [0, 1], [2]),
        OpSpec("FULLY_CONNECTED", [2, 3, 4], [5], {"activation": "relu"}, version=4),
        OpSpec("FULLY_CONNECTED", [5, 6, 7], [8], version=4),
    ]
    return write_tflite(tensors, ops, [0], [8])


def build(toolchain, model=None, tree=TREE, target=TARGET, placement=None):
    runtime = open_tflm(str(tree), target, toolchain, placement or Placement())
    return runtime.build_program(import_tflite(model or network(), "small"))


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_the_firmware_gives_the_golden_outputs_and_a_profile_by_layer(gcc, target):
    program = build(gcc(target), target=target)
    record = EmulatedBackend().run(program)
    assert record.golden_pairs_checked == len(program.golden) == 4
    assert len({pair.outputs for pair in program.golden}) > 1
    assert [layer.operator for layer in program.layers] == ["RESHAPE", "FULLY_CONNECTED", "FULLY_CONNECTED"]
    assert [layer.macs for layer in program.layers] == [0, 12 * 9, 9 * 5]
    counted = {layer.index: layer.counts["instructions"] for layer in record.profile.layers}
    assert set(counted) >= {0, 1, 2}
    assert counted[1] > counted[2] > 9 * 5 > 0, "in proportion to the products"
    assert counted[0] > 0
    assert sum(counted[index] for index in range(3)) < record.profile.total()["instructions"]


def test_memory_is_told_apart_by_owner(gcc):
    model = network()
    memory = build(gcc(), model).memory
    assert memory.weights_bytes == len(model)
    assert 1000 < memory.code_bytes < 9000
    assert memory.flash_total_bytes == memory.flash_bytes + memory.flash_harness_bytes
    assert memory.arena_bytes > memory.arena_lower_bound_bytes >= 12 + 9
    assert 50 < memory.stack_bytes < 1000
    assert memory.static_ram_bytes > 0, "the interpreter and its resolver"
    assert memory.ram_total_bytes > memory.arena_bytes + memory.static_ram_bytes + memory.stack_bytes


def test_the_arena_is_as_large_as_preparing_needs_it(gcc, tree):
    """The stand-in needs 24 bytes for each operator on top of what it uses afterwards."""
    generous = build(gcc(), tree=tree).memory.arena_bytes
    edit(tree / MICRO / "micro_interpreter.cc", "24 * step_count_", "0 * step_count_")
    exact = build(gcc(), tree=tree).memory.arena_bytes
    assert exact % 16 == 0
    assert exact + 24 * 3 <= generous <= 2 * (exact + 24 * 3)


def test_a_kernel_that_computes_something_else_is_an_error(gcc, tree):
    before = read_tree(tree).identity
    edit(tree / KERNEL, "+ params->out_offset", "+ params->out_offset + 1")
    assert read_tree(tree).identity != before
    with pytest.raises(BackendError, match="wrong output for golden input 0"):
        EmulatedBackend().run(build(gcc(), tree=tree))


def test_where_an_interpreter_stops_is_named(gcc, tree):
    edit(tree / MICRO / "kernels" / "reshape.cc", "return kTfLiteOk;", "return kTfLiteError;")
    with pytest.raises(EmulationError, match="TFLite Micro stops at invoke"):
        build(gcc(), tree=tree)
    edit(tree / MICRO / "micro_interpreter.cc", "return size_ - used_ <", "__builtin_trap(); return size_ - used_ <")
    with pytest.raises(EmulationError, match="TFLite Micro stops at allocate"):
        build(gcc(), tree=tree)


def test_constructors_of_global_objects_run(gcc, tree):
    path = tree / MICRO / "micro_interpreter.cc"
    edit(path, "size_t ElementBytes(", "int answer(int x) { return x; }\nint ready = answer(42);\nsize_t ElementBytes(")  # fmt: skip # noqa: E501
    edit(path, "int answer(int x)", "__attribute__((noipa)) int answer(int x)")
    edit(path, "  if (PlaceTensors(graph)", "  if (ready != 42 || PlaceTensors(graph)")
    assert EmulatedBackend().run(build(gcc(), tree=tree)).golden_pairs_checked == 4


def test_code_and_arena_can_be_placed(gcc):
    target = load_target("disco-f746ng")
    regions = {region.kind: region.name for region in target.regions}
    program = build(gcc(target), target=target, placement=Placement(code=regions["itcm"], arena=regions["dtcm"]))
    assert EmulatedBackend().run(program).golden_pairs_checked == 4
    used = {use.region: use for use in program.memory.regions}
    assert used[regions["itcm"]].code_bytes > 1000 and used[regions["dtcm"]].arena_bytes == program.memory.arena_bytes
    for placement in (uniform("auto"), Placement(weights=regions["dtcm"])):
        with pytest.raises(StudyError, match="moves only code and arena"):
            open_tflm(str(TREE), target, gcc(target), placement)


@pytest.mark.parametrize("change", ["checkout", "cpp"])
def test_other_shapes_of_a_tree(gcc, tree, change):
    if change == "checkout":
        downloads = tree / MICRO / "tools" / "make" / "downloads"
        downloads.parent.mkdir(parents=True)
        (tree / "third_party").rename(downloads)
        # A checkout holds build files there, and much that belongs to other programs.
        (tree / "third_party" / "flatbuffers").mkdir(parents=True)
        (tree / "tensorflow" / "lite" / "python").mkdir()
        (tree / "tensorflow" / "lite" / "python" / "other.cc").write_text("#error not of the library\n")
    else:
        for path in sorted(tree.rglob("*.cc")):
            path.rename(path.with_suffix(".cpp"))
    assert EmulatedBackend().run(build(gcc(), tree=tree)).golden_pairs_checked == 4


def test_a_kernel_that_is_not_found_by_its_definition_is_found_among_all(gcc, tree):
    """Trees change their style; what is not recognised must cost time, not correctness."""
    edit(tree / MICRO / "kernels" / "reshape.cc", "TFLMRegistration Register_RESHAPE() {", "TFLMRegistration Register_RESHAPE(void) {")  # fmt: skip # noqa: E501
    (tree / MICRO / "kernels" / "add.cc").write_text("")
    tflm = read_tree(tree)
    assert set(tflm.kernels_of(["RESHAPE"])) == set(tflm.kernels) > set(tflm.kernels_of(["TANH"]))
    assert EmulatedBackend().run(build(gcc(), tree=tree)).golden_pairs_checked == 4


def test_a_kernel_that_needs_another_is_linked_with_all(gcc, tree):
    kernels = tree / MICRO / "kernels"
    (kernels / "add.cc").write_text("int in_another_file() { return 1; }\n")
    edit(kernels / "reshape.cc", "namespace tflite {\nTFLM", "int in_another_file();\nnamespace tflite {\nTFLM")
    edit(kernels / "reshape.cc", "std::memcpy(", "if (in_another_file()) std::memcpy(")
    assert EmulatedBackend().run(build(gcc(), tree=tree)).golden_pairs_checked == 4
    edit(kernels / "add.cc", "in_another_file", "not_here")
    with pytest.raises(ToolchainError, match="undefined reference to `in_another_file"):
        build(gcc(), tree=tree)


def test_what_crest_adds_compiles_without_warnings(gcc, tmp_path):
    tflm = read_tree(TREE)
    emit_model(import_tflite(network(), "small"), tflm, bytes(8)).write(tmp_path)
    assert len(compile_glue(tflm, gcc(), tmp_path, ("-Wall", "-Wextra", "-Werror"))) == 2


def test_a_program_names_its_runtime_and_has_no_c_project(gcc, tmp_path):
    program = build(gcc())
    assert program.runtime == read_tree(TREE).identity == f"tflm {read_tree(TREE).sha256[:12]}"
    with pytest.raises(ModelError, match="there is no C library to write"):
        write_c_project(program, gcc(), tmp_path)


def test_the_same_input_gives_the_same_elf_wherever_the_tree_lies(gcc, tree):
    assert build(gcc()).elf_sha256 == build(gcc(), tree=tree).elf_sha256


def test_prices_tell_runtimes_and_trees_apart(gcc, tree):
    conditions = Conditions(TARGET, Continuous(), Reserve(), max(TARGET.clock_mhz))

    def pricing(**options):
        choice = BuildOptions(CompilerChoice("gcc"), **options)
        return Pricing(conditions, EmulatedBackend(), choice, use_cache=False)

    edit(tree / KERNEL, "int32_t unit = 0", "int32_t unit = 0u")
    roads = [pricing(lowering="plain"), pricing(tflm_tree=str(TREE)), pricing(tflm_tree=str(tree))]
    assert len({road.key("the same graph") for road in roads}) == 3
    ours, theirs = (road.execution("network", lambda: import_tflite(network())) for road in roads[:2])
    measurement = roads[1].price(theirs)
    assert (measurement.runtime, measurement.lowering) == (read_tree(TREE).identity, "plain")
    assert roads[0].price(ours).runtime == "crest"
    assert measurement.cycles.value > roads[0].price(ours).cycles.value


def test_a_member_of_a_front_has_no_c_project(gcc, tmp_path, monkeypatch):
    finish = pytest.importorskip("crest.search.finish", reason="searching needs the search extra")
    monkeypatch.setattr(finish, "evaluate", lambda *_: {})
    conditions = Conditions(TARGET, Continuous(), Reserve(), max(TARGET.clock_mhz))
    road = Pricing(conditions, EmulatedBackend(), BuildOptions(CompilerChoice("gcc"), tflm_tree=str(TREE)))
    (tmp_path / "trained.tflite").write_bytes(network())
    key = SimpleNamespace(clock_mhz=64.0)
    record = SimpleNamespace(number=7, model="trained.tflite", quantization="int8", key=key)
    setup = SimpleNamespace(pricing=lambda *_: road, study=SimpleNamespace(clocks_mhz=(None,)))
    finished = finish.StudyFinisher(setup, tmp_path).finish(record)
    assert set(finished.files) == {"tflite", "elf"}
    assert (tmp_path / finished.files["tflite"]).read_bytes() == network()
    assert finished.measurement.runtime == road.runtime == read_tree(TREE).identity


def test_flags_of_the_user_reach_the_tree(gcc):
    small = build(gcc(cflags=("-Os",))).memory.code_bytes
    assert small < build(gcc(cflags=("-O3", "-funroll-all-loops"))).memory.code_bytes


def test_no_tree(gcc, monkeypatch):
    monkeypatch.delenv(TREE_VARIABLE, raising=False)
    with pytest.raises(ToolchainError, match="no source tree of TFLite Micro is given") as caught:
        open_tflm("", TARGET, gcc())
    assert TREE_VARIABLE in caught.value.hint and "create_tflm_tree.py" in caught.value.hint
    monkeypatch.setenv(TREE_VARIABLE, str(TREE))
    assert open_tflm("", TARGET, gcc()).identity == read_tree(TREE).identity


@pytest.mark.parametrize(
    "gone",
    [
        f"{MICRO}/micro_interpreter.h",
        f"{MICRO}/kernels/cmsis_nn",
        "third_party/gemmlowp/fixedpoint/fixedpoint.h",
        "third_party/cmsis_nn/Include",
    ],
)
def test_a_tree_that_is_not_whole(tree, gone):
    path = tree / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ToolchainError, match=f"no whole TFLite Micro tree: no {gone}$") as caught:
        read_tree(tree)
    assert "create_tflm_tree.py" in caught.value.hint


def test_a_compiler_that_cannot(gcc):
    with pytest.raises(ToolchainError, match="zig cannot build it") as caught:
        open_tflm(str(TREE), TARGET, target_toolchain("zig", TARGET))
    assert "toolchain: gcc" in caught.value.hint
    with pytest.raises(ToolchainError, match="arm-none-eabi-gcc cannot compile C\\+\\+"):
        open_tflm(str(TREE), TARGET, gcc(cflags=("-nostdinc++",)))


def test_an_operator_that_the_tree_does_not_know(gcc):
    writer = ModelWriter(np.random.default_rng(0))
    source = writer.activation((1, 4))
    model = writer.model([source], [writer.add(source, source)])
    with pytest.raises(ModelError, match=r"small: operator 0 \(ADD\): TFLite Micro in .* has no such operator"):
        build(gcc(), model)


def test_an_operator_that_a_kernel_refuses(gcc):
    tensors = [TensorSpec((1, 6), scale=[0.05], zero_point=[0]), TensorSpec((1, 6), scale=[1 / 128], zero_point=[0])]
    shape = TensorSpec((2,), "int32", data=np.array([1, 6], np.int32))
    tensors = [tensors[0], shape, tensors[0], tensors[1]]
    model = write_tflite(tensors, [OpSpec("RESHAPE", [0, 1], [2]), OpSpec("TANH", [2], [3])], [0], [3])
    with pytest.raises(ModelError, match=r"operator 1 \(TANH\): refused by TFLite Micro's kernel"):
        build(gcc(), model)


def test_floating_point_is_refused(gcc):
    tensors = [TensorSpec((1, 6), "float32"), TensorSpec((1, 6), "float32")]
    model = write_tflite(tensors, [OpSpec("TANH", [0], [1])], [0], [1])
    with pytest.raises(ModelError, match=r"operator 0 \(TANH\) computes in float32"):
        build(gcc(), model)


def test_what_does_not_fit(gcc):
    room = TARGET.ram_available_bytes
    for model, words in (
        (dense_model(depth=4096, units=512), "flash of nano33ble: the .tflite has"),
        (dense_model(depth=room, units=1), "RAM of nano33ble: the activations alone need"),
        (dense_model(depth=room - 4000, units=1), "RAM of nano33ble: beside everything else, TFLite Micro's stack"),
        # The stand-in has a place of its own for each tensor.
        (reshapes(room // 5, 4), "RAM of nano33ble: TFLite Micro needs more than"),
    ):
        with pytest.raises(CapacityError, match=f"does not fit the {words}"):
            build(gcc(), model)


def reshapes(size: int, count: int) -> bytes:
    tensor = TensorSpec((1, size), scale=[0.05], zero_point=[0])
    shape = TensorSpec((2,), "int32", data=np.array([1, size], np.int32))
    ops = [OpSpec("RESHAPE", [at, count + 1], [at + 1]) for at in range(count)]
    return write_tflite([tensor] * (count + 1) + [shape], ops, [0], [count])


@pytest.mark.data
def test_a_real_tree_runs_the_keyword_model_as_it_was_measured_before(gcc, data_folder):
    """Instructions of one inference on a Cortex-M4 with gcc 12.2 and TFLite Micro 90b983c2."""
    if not os.environ.get(TREE_VARIABLE):
        pytest.skip(f"no sources of TFLite Micro: {TREE_VARIABLE} is not set")
    path = data_folder / "silicon" / "models" / "kws_ref_model.tflite"
    if not path.is_file():
        pytest.skip(f"no {path}")
    program = open_tflm("", TARGET, gcc()).build_program(import_tflite(path.read_bytes(), "kws"))
    record = EmulatedBackend().run(program)
    assert record.golden_pairs_checked == len(program.golden)
    assert record.profile.total()["instructions"] == pytest.approx(7_577_818, rel=0.05)
    assert program.memory.arena_bytes == pytest.approx(22_820, rel=0.1)
