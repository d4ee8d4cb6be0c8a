"""What a study is: the axes of a search, in one frozen record."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_serializer, field_validator, model_validator

from crest.emulators import engine_names
from crest.frozen import Frozen
from crest.measurement import Lowering
from crest.placement import AS_TARGET, AUTO, PARTS, Placement
from crest.schedule import LARGEST_BATTERY_MAH, SamplingInPeriod, WakeMarginMs
from crest.study.policy import Policy
from crest.study.shorthand import NamesWithOptions, OneOrList, WordOrMapping, distinct

Quantization = Literal["int8", "int16x8", "float32"]
SamplerName = Literal["tpe", "nsga2", "nsga3", "gp", "random", "grid"]

_ClockMhz = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ModelChoice(Frozen):
    """The family that is searched, and how far its space is narrowed."""

    family: str = Field(min_length=1, description="model family, for example tcn")
    space: dict[str, Any] = Field(default={}, description="axes to narrow; an axis not named keeps its full range")


class Emulated(Frozen):
    """An emulated board."""

    engine: str = Field(
        default="unicorn",
        min_length=1,
        description="the engine that executes the firmware: unicorn, renode, or one that a package adds",
        examples=["unicorn", "renode"],
    )

    @field_validator("engine")
    @classmethod
    def _known_engine(cls, text: str) -> str:
        if text.partition(":")[0] not in engine_names():
            raise ValueError(f"no engine {text!r}: {', '.join(engine_names())}")
        return text


class BackendChoice(Frozen):
    """Where programs run and are measured."""

    emulated: Emulated = Field(default=Emulated(), description="an emulated board")


class Continuous(Frozen):
    """Inferences back to back."""


class Cadenced(Frozen):
    """One inference every period, sleep in between."""

    period_ms: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="release period; by default the workload's own"
    )
    sleep: Literal["deep", "deep_sleep", "sleep"] = Field(
        default="deep", description="sleep state between two releases; deep is short for deep_sleep"
    )
    wake_margin_ms: WakeMarginMs = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="how long before a release the board is woken up"
    )
    sampling: SamplingInPeriod = Field(default=None, description="what sensors draw while they collect a window")

    @field_validator("sleep")
    @classmethod
    def _one_name(cls, name: str) -> str:
        return "deep" if name == "deep_sleep" else name


class ScheduleChoice(Frozen):
    """How inferences follow each other; exactly one of the two is given."""

    continuous: Continuous | None = Field(default=None, description="inferences back to back")
    cadenced: Cadenced | None = Field(default=None, description="one inference every period")

    @model_validator(mode="after")
    def _exactly_one(self) -> ScheduleChoice:
        if (self.continuous is None) == (self.cadenced is None):
            raise ValueError("give exactly one of continuous and cadenced")
        return self


class ToolchainChoice(Frozen):
    """The compiler of the firmware."""

    cc: str = Field(default="zig", min_length=1, description="zig, gcc, or the command of your GCC for Arm")
    cflags: tuple[str, ...] = Field(default=(), description="your flags; they come behind CREST's own, so they win")


class TargetOptions(Frozen):
    """How the board is used."""

    clock_mhz: Annotated[tuple[_ClockMhz, ...], Field(min_length=1), OneOrList()] | None = Field(
        default=None,
        description="one of the board's clocks, or a list of which each network gets the best; by default the fastest",
    )
    placement: Annotated[Placement, WordOrMapping((AUTO,), PARTS)] = Field(
        default=AS_TARGET, description="where code, weights and arena lie: auto, or a memory region for each part"
    )

    @field_validator("clock_mhz")
    @classmethod
    def _no_repeats(cls, clocks_mhz: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return clocks_mhz and distinct(clocks_mhz)

    @field_serializer("clock_mhz")
    def _one_is_a_number(self, clocks_mhz: tuple[float, ...] | None) -> Any:
        """One clock is written as a number, a list of one, too: the study and its hash are the same."""
        return clocks_mhz[0] if clocks_mhz and len(clocks_mhz) == 1 else clocks_mhz


class OwnRuntime(Frozen):
    """The code that CREST's compiler writes."""


class TreeOfEnvironment(Frozen):
    """The TFLite Micro tree that $CREST_TFLM names."""


class RuntimeChoice(Frozen):
    """What runs the model on the board; exactly one is given."""

    crest: OwnRuntime | None = Field(default=None, description="the code that CREST's compiler writes")
    tflm: str | TreeOfEnvironment | None = Field(
        default=None, description="TFLite Micro with CMSIS-NN, from a source tree of yours; else that of $CREST_TFLM"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> RuntimeChoice:
        if (self.crest is None) == (self.tflm is None):
            raise ValueError("give exactly one of crest and tflm")
        return self


class Reserve(Frozen):
    """What the rest of the application needs; it counts against the memories and the time of the board."""

    ram_bytes: int = Field(default=0, ge=0, description="RAM kept for the rest of the application")
    flash_bytes: int = Field(default=0, ge=0, description="flash kept for the rest of the application")
    cpu_pct: float = Field(
        default=0.0, ge=0, lt=100, description="share of the processor kept for the rest, in percent"
    )


class WarmStartOptions(Frozen):
    """How an earlier run is used."""

    repeat: bool = Field(default=False, description="propose its candidates again, too")


class SearchOptions(Frozen):
    """How long and how to search."""

    trials: int = Field(default=40, ge=1, description="candidates to train; those refused before training come on top")
    epochs: int = Field(default=30, ge=1, description="most epochs of one training")
    patience: int = Field(default=8, ge=1, description="epochs without a better validation loss before training stops")
    batch_size: int = Field(default=256, ge=2, description="windows in one training step")
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="learning rate of the optimizer")
    batch: int = Field(
        default=2, ge=1, description="candidates proposed together; part of the result, whatever the number of workers"
    )
    workers: int = Field(default=1, ge=1, description="processes that evaluate a batch; changes no result")
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of everything that is random")
    sampler: SamplerName | Literal["auto"] = Field(
        default="tpe", description="what proposes candidates; auto chooses by objectives, space, trials and constraints"
    )
    startup_trials: int = Field(
        default=10, ge=1, description="trained random candidates before the sampler's model is used"
    )
    population: int | None = Field(
        default=None,
        ge=2,
        exclude_if=lambda population: population is None,
        description="candidates of a generation of nsga2 and nsga3; 20 by default",
    )
    warm_start: Annotated[dict[str, WarmStartOptions], NamesWithOptions()] = Field(
        default={},
        exclude_if=lambda runs: not runs,
        description="folders of earlier runs that the sampler learns from, and their options; they count as no trials",
    )

    @model_validator(mode="after")
    def _population_is_used(self) -> SearchOptions:
        if self.population is not None and self.sampler not in ("nsga2", "nsga3", "auto"):
            raise ValueError(f"population: sampler {self.sampler} has none; only nsga2 and nsga3 do")
        return self


class Study(Frozen):
    """One study: a workload, a model family, a target, a schedule, quantizations and a policy."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100, description="names the run folder")
    workload: dict[str, dict[str, Any]] = Field(
        description="one workload and its options: {odometry: {source: generated}}"
    )
    model: ModelChoice = Field(description="the model family and its search space")
    quantization: Annotated[tuple[Quantization, ...], OneOrList()] = Field(
        default=("int8",), min_length=1, description="one number format, or a list that is searched"
    )
    targets: Annotated[dict[str, TargetOptions], NamesWithOptions()] = Field(
        description="the board, a shipped name or a .yaml of yours, and its options: {my-board.yaml: {placement: auto}}"
    )
    backend: Annotated[BackendChoice, WordOrMapping(("emulated",))] = Field(
        default=BackendChoice(), description="where programs run and are measured"
    )
    toolchain: Annotated[ToolchainChoice, WordOrMapping(("zig", "gcc"), keys=("cc",))] = Field(
        default=ToolchainChoice(), description="the compiler of the firmware, and flags of yours"
    )
    runtime: Annotated[RuntimeChoice, WordOrMapping(("crest", "tflm"))] = Field(
        default=RuntimeChoice(crest=OwnRuntime()), description="what runs the model on the board"
    )
    lowering: Lowering = Field(
        default="optimized",
        description="optimized by the compiler's graph passes, or plain: one kernel for each operator as exported",
    )
    schedule: Annotated[ScheduleChoice, WordOrMapping(("continuous", "cadenced"))] = Field(
        default=ScheduleChoice(continuous=Continuous()), description="how inferences follow each other"
    )
    reserve: Reserve = Field(default=Reserve(), description="what the rest of the application needs")
    battery_mah: float | None = Field(
        default=None,
        gt=0,
        le=LARGEST_BATTERY_MAH,
        allow_inf_nan=False,
        description="battery capacity, for the battery life in reports",
    )
    policy: Policy = Field(description="objectives and hard constraints")
    search: SearchOptions = Field(default=SearchOptions(), description="how long and how to search")

    _folder: Path = PrivateAttr(default_factory=Path)

    @field_validator("workload")
    @classmethod
    def _one_workload(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if len(value) != 1:
            raise ValueError(f"expected one workload and its options, got {len(value)} keys")
        return value

    @field_validator("quantization")
    @classmethod
    def _no_repeats(cls, names: tuple[Quantization, ...]) -> tuple[Quantization, ...]:
        return distinct(names)

    @field_validator("targets")
    @classmethod
    def _one_target(cls, named: dict[str, TargetOptions]) -> dict[str, TargetOptions]:
        if len(named) != 1:
            raise ValueError(
                f"this version searches exactly one target, got {len(named)}; replay a front on the others"
            )
        return named

    @property
    def folder(self) -> Path:
        """The folder that relative paths of this study start from: that of its file, else the working directory."""
        return self._folder

    def placed_in(self, folder: Path) -> Study:
        """The same study whose relative paths start from ``folder``."""
        placed = self.model_copy()
        placed._folder = folder
        return placed

    def resolve(self, path: str) -> Path:
        """A path as written in the study, made absolute."""
        return (self._folder / Path(path).expanduser()).resolve()

    @property
    def target(self) -> str:
        """The target as ``crest.targets.load_target`` wants it: a name, or the absolute path of a .yaml."""
        (written,) = self.targets
        return str(self.resolve(written)) if written.endswith(".yaml") else written

    @property
    def clocks_mhz(self) -> tuple[float | None, ...]:
        """The clocks at which networks are priced, as written; None stands for the fastest of the board."""
        (options,) = self.targets.values()
        return options.clock_mhz or (None,)

    @property
    def placement(self) -> Placement:
        """Where code, weights and arena lie; what ``auto`` arrives at stays below a constraint on ``ram_bytes``."""
        (options,) = self.targets.values()
        rules = self.policy.subject_to
        limits = [rule.limit for rule in rules if (rule.metric, rule.comparison) == ("ram_bytes", "<=")]
        if not options.placement.has_auto or options.placement.ram_budget_bytes is not None or not limits:
            return options.placement
        return options.placement.model_copy(update={"ram_budget_bytes": int(min(limits))})

    @property
    def compiler_command(self) -> str:
        """The compiler as ``crest.compiler.toolchain`` wants it: a word, a command, or an absolute path."""
        written = self.toolchain.cc
        return str(self.resolve(written)) if "/" in written else written

    @property
    def tflm_tree(self) -> str | None:
        """Folder of the TFLite Micro tree, absolute; empty for that of ``$CREST_TFLM``; None for CREST's own code."""
        written = self.runtime.tflm
        if isinstance(written, str):
            return str(self.resolve(written))
        return None if written is None else ""

    def canonical_sha256(self) -> str:
        """A hash of everything that can change a result: defaults spelled out, ``search.workers`` left out.

        Paths count as they are written, so that a study keeps its hash on another machine.
        """
        identity = self.model_dump(mode="json", exclude={"search": {"workers"}})
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()
