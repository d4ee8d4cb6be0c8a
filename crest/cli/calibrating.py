"""`crest calibrate`: from measurements of probes and networks to an energy model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from crest.backends.emulated import EmulatedBackend
from crest.calibrate.bench import SimulatedBench
from crest.calibrate.models import Calibration, calibrate, write_models
from crest.calibrate.outputs import Outputs, plan_outputs
from crest.calibrate.plot import calibration_png
from crest.calibrate.probe_specs import fetch_regions
from crest.calibrate.rows import Origin, PowerRow
from crest.calibrate.suite import NETWORKS, SuiteOptions, measure_suite, run_suite
from crest.calibrate.tables import read_rows, rows_csv, template_csv
from crest.cli.console import errors, results, write_output
from crest.cli.options import CompilerOption
from crest.compiler.toolchain import CompilerChoice
from crest.energy import EnergyModel, load_energy_model, load_energy_models, own_file_name
from crest.errors import AssetError, CalibrationError, CrestError, StudyError
from crest.measurement import Boundary
from crest.meters import SPREAD_LIMIT, SimulatedMeter
from crest.targets import Target, load_target


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("calibrate")(calibrate_target)


_SIMULATION = ("clock_mhz", "networks", "seed", "noise", "gain", "drift", "toolchain")
"""Parameters that say how a simulation runs: a table has been measured."""


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no number to calibrate with")
    return value


def calibrate_target(
    context: typer.Context,
    target: Annotated[
        str | None, typer.Argument(help="A board by name, or a .yaml of yours.", show_default=False)
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--from", help="Measurements taken elsewhere, a CSV table.", show_default=False),
    ] = None,
    simulate: Annotated[
        Path | None,
        typer.Option(
            "--simulate",
            help="True coefficients, an energy model's file: run the suite on the emulated board, and let a simulated "
            "meter see their power.",
            show_default=False,
        ),
    ] = None,
    template: Annotated[bool, typer.Option("--template", help="Print the columns of a table, and end.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The model; by default TARGET.energy.yaml, of a simulation TARGET.simulated.energy.yaml.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files, and write a model even if it is worse than before.")
    ] = False,
    clock_mhz: Annotated[
        list[float] | None,
        typer.Option("--clock-mhz", help="Clocks to calibrate; by default all of the board.", show_default=False),
    ] = None,
    networks: Annotated[int, typer.Option("--networks", min=1, max=100, help="Networks to sample.")] = NETWORKS,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the networks, and of the simulated meter.")] = 0,
    noise: Annotated[
        float, typer.Option("--noise", min=0, max=0.5, callback=_finite, help="Of the simulated meter: samples.")
    ] = 0.01,
    gain: Annotated[
        float, typer.Option("--gain", min=0, max=0.5, callback=_finite, help="The same: each recording.")
    ] = 0.0,
    drift: Annotated[
        float, typer.Option("--drift", min=-1e-4, max=1e-4, callback=_finite, help="The same: each second.")
    ] = 0.0,
    volt: Annotated[
        float | None,
        typer.Option(
            "--volt",
            min=0.5,
            max=6,
            callback=_finite,
            help="Of the supply; by default the target's.",
            show_default=False,
        ),
    ] = None,
    boundary: Annotated[
        Boundary,
        typer.Option("--boundary", help="What was measured around, or which of the true coefficients to take."),
    ] = "mcu_rail",
    temperature_c: Annotated[
        float | None,
        typer.Option(
            "--temperature-c",
            min=-60,
            max=200,
            callback=_finite,
            help="Of the board, for the record.",
            show_default=False,
        ),
    ] = None,
    toolchain: CompilerOption = "zig",
) -> None:
    """Fit an energy model to a board: probes, sleep states and networks, measured and cross-validated.

    Writes the model, its rows as CSV and a plot beside it; `CREST_ENERGY_MODELS` names the folder for other commands to
    take it from. It takes --force to overwrite files, or to write a model that predicts networks it has not seen worse
    than the one it replaces.

    Examples:
      crest calibrate --template > bench.csv

      crest calibrate nano33ble --from bench.csv

      crest calibrate nano33ble --simulate examples/calibration/simulated-board.energy.yaml
    """
    if template:
        typer.echo(template_csv(), nl=False)
        return
    if target is None:
        raise typer.BadParameter("which board?", param_hint="TARGET")
    if (table is None) == (simulate is None):
        raise typer.BadParameter(
            "give measurements (--from), or true coefficients to simulate (--simulate); boards are not connected yet",
            param_hint="--from",
        )
    if table is not None:
        _refuse_options(context, _SIMULATION, "only --simulate takes it: a table is measured")
    board = load_target(target)
    name = own_file_name(board) if simulate is None else f"{board.name}.simulated.energy.yaml"
    path = output or (board.folder or Path()) / name
    if path.suffix not in (".yaml", ".yml"):
        raise typer.BadParameter(f"{path}: a model is a .yaml", param_hint="--output")
    outputs = plan_outputs(path, table, force)
    others = (*load_energy_models(board, path), *load_energy_models(board))
    supplied = _at_volt(board, volt or board.supply.volt)
    if table is not None:
        rows = read_rows(table, board)
        origin = Origin(table.name, boundary, supplied.supply.volt, temperature_c)
    else:
        assert simulate is not None
        options = SuiteOptions(clock_mhz or board.clock_mhz, networks, seed, compiler=CompilerChoice(toolchain))
        hidden = _hidden(supplied, boundary, simulate, options.clocks_mhz)
        meter = SimulatedMeter(
            boundary, supplied.supply.volt, noise=noise, gain_spread=gain, drift_per_s=drift, seed=seed
        )
        bench = SimulatedBench(hidden, meter, supplied.supply.volt)
        rows = _measured(board, bench, options)
        origin = Origin(bench.identity, bench.boundary, bench.supply_volt, temperature_c)
    with _rows_kept(rows, outputs, table):
        calibration = calibrate(rows, board, origin, _replaced(supplied, boundary))
        results.print(_table(calibration))
        for note in calibration.notes:
            errors.print(note, highlight=False, markup=False)
        _refuse_worse(calibration, force)
    _write(calibration, rows, outputs, others)


def _refuse_options(context: typer.Context, names: Sequence[str], reason: str) -> None:
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(reason, param_hint="--" + name.replace("_", "-"))


def _at_volt(board: Target, volt: float) -> Target:
    return board.model_copy(update={"supply": board.supply.model_copy(update={"volt": volt})})


def _hidden(board: Target, boundary: Boundary, path: Path, clocks_mhz: Sequence[float]) -> EnergyModel:
    """The true coefficients, which know every clock and memory that will be run."""
    if not path.is_file():
        raise AssetError(
            f"{path}: no such file",
            hint="true coefficients are an energy model's file; examples/calibration has one that is made up",
        )
    hidden = load_energy_model(board, boundary, path)
    for clock_mhz in clocks_mhz:
        if clock_mhz not in board.every_clock_mhz:
            raise StudyError(
                f"{board.name} has no clock of {clock_mhz:g} MHz",
                hint=f"--clock-mhz: {', '.join(f'{clock:g}' for clock in board.every_clock_mhz)}",
            )
        for region in fetch_regions(board):
            hidden.run_state(clock_mhz, region)
    return hidden


def _measured(board: Target, bench: SimulatedBench, options: SuiteOptions) -> list[PowerRow]:
    with _progress() as tell:
        found = run_suite(board, EmulatedBackend(), options, tell)
        rows = measure_suite(found.runs, bench, tell)
    for name, reason in found.left_out.items():
        errors.print(f"left out: {name}: {reason}", highlight=False, markup=False)
    return rows


@contextmanager
def _progress() -> Iterator[Any]:
    if not errors.is_terminal:
        yield lambda text: errors.print(text, highlight=False, markup=False)
        return
    with errors.status("starting") as status:
        yield status.update


def _replaced(board: Target, boundary: Boundary) -> EnergyModel | None:
    """The model that a calibration stands beside: of the same boundary and supply."""
    try:
        return load_energy_model(board, boundary)
    except AssetError:
        return None


def _table(calibration: Calibration) -> Table:
    table = Table(title=f"Energy model of {calibration.model.target}, fitted")
    table.add_column("coefficient")
    table.add_column(Text("value [90 %]"), justify="right")
    units = {"run": ("mW", 1e-3), "event": ("pJ", 1.0), "rest": ("uW", 1.0), "wake_up": ("uJ", 1.0)}
    titles = {"run": "run from", "event": "each", "rest": "", "wake_up": "wake-up from"}
    for term in calibration.fit.terms:
        unit, factor = units[term.kind]
        clock = f" at {term.clock_mhz:g} MHz" if term.clock_mhz else ""
        value, low, high = (number * factor for number in calibration.fit.interval(term))
        text = f"{value:.4g} {unit} [{low:.4g}, {high:.4g}]"
        table.add_row(Text(f"{titles[term.kind]} {term.name}{clock}".strip()), Text(text))
    table.caption = Text(
        f"left out and predicted, median error of {len(calibration.left_out)} rows: {_percent(calibration.error)}\n"
        + _beside(calibration)
    )
    return table


def _percent(error: float) -> str:
    """Three digits, for two errors that are close must not read the same."""
    return f"{100 * error:.3g} %"


def _beside(calibration: Calibration) -> str:
    beside = calibration.comparison
    if isinstance(beside, str):
        return beside
    return (
        f"on the {beside.rows} that the model before it predicts, too: {_percent(beside.error)}, and that one"
        f" {_percent(beside.replaced_error)}"
    )


@contextmanager
def _rows_kept(rows: list[PowerRow], outputs: Outputs, source: Path | None) -> Iterator[None]:
    """What was measured outlives a model that is not written: rows that are in no table yet go to one."""
    try:
        yield
    except CrestError as exc:
        if source is not None:
            raise
        path = outputs.kept_rows
        write_output(path, rows_csv(rows))
        hint = "; ".join(filter(None, (exc.hint, f"what was measured is in {path}")))
        raise type(exc)(exc.message, hint=hint) from exc


def _refuse_worse(calibration: Calibration, force: bool) -> None:
    if not calibration.is_worse:
        return
    if not force:
        raise CalibrationError(
            f"not written, it is worse: {_beside(calibration)}", hint="more or steadier measurements, or --force"
        )
    errors.print(f"written although it is worse: {_beside(calibration)}", highlight=False, markup=False)


def _write(calibration: Calibration, rows: list[PowerRow], outputs: Outputs, others: Sequence[EnergyModel]) -> None:
    """The model, its rows - unless they came from that very file - and a plot."""
    unsteady = [row.spread for row in rows if row.spread is not None and row.spread > SPREAD_LIMIT]
    if unsteady:
        text = f"windows of {len(unsteady)} of {len(rows)} rows differ by more than 1 %, at most by {max(unsteady):.1%}"
        errors.print(text, highlight=False, markup=False)
    if outputs.table is not None:
        write_output(outputs.table, rows_csv(rows))
    write_models(calibration, others, outputs.model)
    write_output(outputs.picture, calibration_png(calibration, rows, calibration.model.identity))
    results.print("\n".join(map(str, outputs.written)), highlight=False, markup=False, soft_wrap=True)
