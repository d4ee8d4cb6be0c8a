"""Options that several commands share."""

from __future__ import annotations

import math
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from crest.compiler.graph import Graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import CompilerChoice
from crest.errors import ModelError, StudyError
from crest.placement import AS_TARGET, AUTO, PARTS, Placement, uniform
from crest.pricing import BuildOptions
from crest.schedule import LARGEST_BATTERY_MAH, Continuous, Sampling, Schedule, SleepName, cadenced
from crest.yaml_io import validate

Model = Annotated[Path, typer.Argument(help="A .tflite file.", show_default=False)]
TargetOption = Annotated[
    str, typer.Option("--target", "-t", help="A board by name, or a .yaml of yours.", show_default=False)
]


ClockOption = Annotated[
    float | None,
    typer.Option("--clock-mhz", help="One of the board's clocks; by default the fastest.", show_default=False),
]

CompilerOption = Annotated[
    str, typer.Option("--toolchain", help="Compiler: zig, gcc, or the command of your GCC for Arm.")
]
FlagsOption = Annotated[
    str, typer.Option("--cflags", help="Flags of yours for the compiler, behind CREST's own: --cflags='-O3 -Wall'.")
]


class LoweringOption(StrEnum):
    """Ways from a model to firmware."""

    optimized = "optimized"
    plain = "plain"


LoweringChoice = Annotated[
    LoweringOption,
    typer.Option("--lowering", help="With the compiler's graph passes, or one kernel for each operator as exported."),
]


PlacementOption = Annotated[
    str,
    typer.Option(
        "--placement",
        help="Where code, weights and arena lie: auto, or a memory region for each: code=itcm,weights=auto,arena=dtcm. "
        "By default where the board keeps them.",
        show_default=False,
    ),
]


class ScheduleOption(StrEnum):
    """Schedules by name."""

    continuous = "continuous"
    cadenced = "cadenced"


class SleepOption(StrEnum):
    """Sleep states by name."""

    sleep = "sleep"
    deep = "deep"
    deep_sleep = "deep_sleep"


WakeMarginOption = Annotated[
    float, typer.Option("--wake-margin-ms", min=0, help="How long before each release the board is woken up.")
]
SamplingPowerOption = Annotated[
    float, typer.Option("--sampling-power-uw", min=0, help="What sensors draw while they collect the next window.")
]
SamplingTimeOption = Annotated[
    float | None,
    typer.Option("--sampling-ms", help="How long they collect in a period; by default all of it.", show_default=False),
]


def _finite(number: float) -> float:
    """A range lets what is no number pass."""
    if not math.isfinite(number):
        raise typer.BadParameter(f"{number} is no number")
    return number


BatteryOption = Annotated[
    float,
    typer.Option(
        "--battery-mah", min=0.001, max=LARGEST_BATTERY_MAH, callback=_finite, help="Battery for the battery life."
    ),
]
SelfDischargeOption = Annotated[
    float, typer.Option("--self-discharge-pct", min=0, max=99.9, help="Of the battery's capacity, in a year.")
]


def sampling(power_uw: float, collect_ms: float | None) -> Sampling | None:
    """What the options say of sensors; None where they draw nothing."""
    if not power_uw:
        if collect_ms is not None:
            raise typer.BadParameter("only --sampling-power-uw needs it", param_hint="--sampling-ms")
        return None
    written = {"power_uw": power_uw, "collect_ms": collect_ms, "reason": "declared on the command line"}
    return validate(written, Sampling, "--sampling-power-uw, --sampling-ms", StudyError)


def schedule_of(
    name: ScheduleOption,
    period_ms: float,
    sleep: SleepOption,
    wake_margin_ms: float,
    sampling_power_uw: float,
    sampling_ms: float | None,
) -> Schedule:
    """What the options say of a schedule."""
    if name is ScheduleOption.cadenced:
        state: SleepName = "sleep" if sleep is SleepOption.sleep else "deep_sleep"
        return cadenced(period_ms, state, wake_margin_ms, sampling(sampling_power_uw, sampling_ms))
    if wake_margin_ms or sampling_power_uw or sampling_ms is not None:
        raise StudyError("inferences back to back have no wake margin and no sampling", hint="--schedule cadenced")
    return Continuous()


class RuntimeOption(StrEnum):
    """What runs the model."""

    crest = "crest"
    tflm = "tflm"


RuntimeChoice = Annotated[
    RuntimeOption,
    typer.Option("--runtime", help="CREST's own code, or TFLite Micro with CMSIS-NN from sources of yours."),
]
TreeOption = Annotated[
    Path | None,
    typer.Option("--tflm-tree", help="TFLite Micro's sources; $CREST_TFLM by default.", show_default=False),
]


def build_options(
    toolchain: str,
    cflags: str,
    lowering: LoweringOption,
    placement: str,
    runtime: RuntimeOption = RuntimeOption.crest,
    tflm_tree: Path | None = None,
) -> BuildOptions:
    """What the options say."""
    try:
        flags = tuple(shlex.split(cflags))
    except ValueError as exc:
        raise typer.BadParameter(f"{cflags!r}: {exc}", param_hint="--cflags") from exc
    if runtime is RuntimeOption.crest and tflm_tree is not None:
        raise typer.BadParameter("only --runtime tflm needs it", param_hint="--tflm-tree")
    tree = None if runtime is RuntimeOption.crest else str(tflm_tree or "")
    return BuildOptions(CompilerChoice(toolchain, flags), lowering.value, _placement(placement), tree)


def _placement(text: str) -> Placement:
    if text in ("", AUTO):
        return uniform(AUTO) if text else AS_TARGET
    chosen: dict[str, str] = {}
    for item in text.split(","):
        part, _, region = (word.strip() for word in item.partition("="))
        if part not in PARTS or not region or part in chosen:
            raise typer.BadParameter(
                f"{item!r}: write {AUTO}, or a memory region for each of {', '.join(PARTS)}: code=itcm,arena=dtcm",
                param_hint="--placement",
            )
        chosen[part] = region
    return Placement(**chosen)


def read_model(path: Path) -> Graph:
    """Import a .tflite from a file.

    Raises:
        ModelError: the file cannot be read, or is no model that the compiler knows.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ModelError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    return import_tflite(data, path.name)
