"""`crest calibrate`: from measurements of probes and networks to an energy model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from crest.backends.emulated import EmulatedBackend
from crest.calibrate.bench import SimulatedBench
from crest.calibrate.models import Calibration, Origin, calibrate, write_models
from crest.calibrate.plot import calibration_png
from crest.calibrate.rows import PowerRow
from crest.calibrate.suite import NETWORKS, SuiteOptions, measure_suite, run_suite
from crest.calibrate.tables import read_rows, rows_csv, template_csv
from crest.cli.console import errors, results, write_output
from crest.cli.options import CompilerOption
from crest.compiler.toolchain import CompilerChoice
from crest.energy import EnergyModel, load_energy_model, load_energy_models, own_file_name
from crest.errors import AssetError, CalibrationError
from crest.measurement import Boundary
from crest.meters import SPREAD_LIMIT, SimulatedMeter
from crest.targets import Target, load_target


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("calibrate")(calibrate_target)


def calibrate_target(
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
        typer.Option("--output", "-o", help="The model; by default TARGET.energy.yaml here.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write a model even if it is worse than before.")] = False,
    clock_mhz: Annotated[
        list[float] | None,
        typer.Option("--clock-mhz", help="Clocks to calibrate; by default all of the board.", show_default=False),
    ] = None,
    networks: Annotated[int, typer.Option("--networks", min=1, max=100, help="Networks to sample.")] = NETWORKS,
    seed: Annotated[int, typer.Option("--seed", help="Of the networks, and of the simulated meter.")] = 0,
    noise: Annotated[float, typer.Option("--noise", min=0, max=0.5, help="Of the simulated meter: samples.")] = 0.01,
    gain: Annotated[float, typer.Option("--gain", min=0, max=0.5, help="The same: each recording.")] = 0.0,
    drift: Annotated[float, typer.Option("--drift", min=-0.1, max=0.1, help="The same: each second.")] = 0.0,
    volt: Annotated[
        float | None,
        typer.Option("--volt", min=0.5, max=6, help="Of the supply; by default the target's.", show_default=False),
    ] = None,
    boundary: Annotated[
        Boundary,
        typer.Option("--boundary", help="What was measured around, or which of the true coefficients to take."),
    ] = "mcu_rail",
    temperature_c: Annotated[
        float | None,
        typer.Option("--temperature-c", min=-60, max=200, help="Of the board, for the record.", show_default=False),
    ] = None,
    toolchain: CompilerOption = "zig",
) -> None:
    """Fit an energy model to a board: probes, sleep states and networks, measured and cross-validated.

    Writes the model, its rows as CSV and a plot beside it; `CREST_ENERGY_MODELS` names the folder for other commands to
    take it from. A model that predicts networks it has not seen worse than the one it replaces is not written.

    Examples:
      crest calibrate --template > bench.csv

      crest calibrate nano33ble --from bench.csv

      crest calibrate nano33ble --simulate hidden.energy.yaml --networks 12
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
    board = load_target(target)
    path = output or (board.folder or Path()) / own_file_name(board)
    if path.suffix not in (".yaml", ".yml"):
        raise typer.BadParameter(f"{path}: a model is a .yaml", param_hint="--output")
    volt = volt or board.supply.volt
    if table is not None:
        rows, origin = read_rows(table, board), Origin(str(table.name), boundary, volt, temperature_c)
    else:
        assert simulate is not None
        meter = SimulatedMeter(boundary, volt, noise=noise, gain_spread=gain, drift_per_s=drift, seed=seed)
        bench = SimulatedBench(load_energy_model(board, boundary, simulate), meter, volt)
        options = SuiteOptions(clock_mhz or board.clock_mhz, networks, seed, compiler=CompilerChoice(toolchain))
        with _progress() as tell:
            found = run_suite(board, EmulatedBackend(), options, tell)
            rows = measure_suite(found.runs, bench, tell)
        for name, reason in found.left_out.items():
            errors.print(f"left out: {name}: {reason}", highlight=False, markup=False)
        origin = Origin(bench.identity, bench.boundary, volt, temperature_c)
    calibration = calibrate(rows, board, origin, _replaced(board, origin))
    results.print(_table(calibration))
    if calibration.is_worse and not force:
        raise _refusal(calibration, rows, None if table else path.with_suffix(".refused.csv"))
    _write(calibration, rows, board, path, table)


@contextmanager
def _progress() -> Iterator[Any]:
    if not errors.is_terminal:
        yield lambda text: errors.print(text, highlight=False, markup=False)
        return
    with errors.status("starting") as status:
        yield status.update


def _replaced(board: Target, origin: Origin) -> EnergyModel | None:
    """The model that a calibration stands beside: of the same boundary and supply."""
    supply = board.supply.model_copy(update={"volt": origin.supply_volt})
    try:
        return load_energy_model(board.model_copy(update={"supply": supply}), origin.boundary)
    except AssetError:
        return None


def _table(calibration: Calibration) -> Table:
    table = Table(title=f"Energy model of {calibration.model.target}, fitted")
    table.add_column("coefficient")
    table.add_column(Text("value [90 %]"), justify="right")
    units = {"run": ("mW", 1e-3), "event": ("pJ", 1.0), "rest": ("uW", 1.0), "wake_up": ("uJ", 1.0)}
    titles = {"run": "run from", "event": "each", "rest": "", "wake_up": "wake-up from"}
    for term, value, error in zip(calibration.fit.terms, calibration.fit.values, calibration.fit.errors, strict=True):
        unit, factor = units[term.kind]
        clock = f" at {term.clock_mhz:g} MHz" if term.clock_mhz else ""
        ends = [max(0.0, value + sign * 1.645 * error) * factor for sign in (-1, 1)]
        text = f"{value * factor:.4g} {unit} [{ends[0]:.4g}, {ends[1]:.4g}]" if value else "- (vanishes)"
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
    if beside is None:
        return "no model before it that predicts any of them"
    return (
        f"on the {beside.rows} that the model before it predicts, too: {_percent(beside.error)}, and that one"
        f" {_percent(beside.replaced_error)}"
    )


def _refusal(calibration: Calibration, rows: list[PowerRow], path: Path | None) -> CalibrationError:
    """What keeps a worse model from being written; rows that are in no table yet are kept, apart from a model's."""
    hint = "more or steadier measurements, or --force"
    if path is not None:
        write_output(path, rows_csv(rows))
        hint += f"; what was measured is in {path}"
    return CalibrationError(f"not written, it is worse: {_beside(calibration)}", hint=hint)


def _write(calibration: Calibration, rows: list[PowerRow], board: Target, path: Path, source: Path | None) -> None:
    """The model, its rows - unless they came from that very file - and a plot."""
    unsteady = [row.spread for row in rows if row.spread is not None and row.spread > SPREAD_LIMIT]
    if unsteady:
        text = f"windows of {len(unsteady)} of {len(rows)} rows differ by more than 1 %, at most by {max(unsteady):.1%}"
        errors.print(text, highlight=False, markup=False)
    table, picture = path.with_suffix(".csv"), path.with_suffix(".png")
    if source is None or source.resolve() != table.resolve():
        write_output(table, rows_csv(rows))
    write_models(calibration, load_energy_models(board), path)
    write_output(picture, calibration_png(calibration, rows, calibration.model.identity))
    results.print(f"{path}\n{table}\n{picture}", highlight=False, markup=False, soft_wrap=True)
