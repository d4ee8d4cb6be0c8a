"""From a fit to an energy model in the one form, beside what it replaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import ValidationError

from crest.calibrate.assembling import Grounds, assemble
from crest.calibrate.fit import Fit, fit_rows, leave_out, median_error
from crest.calibrate.keeping import keep_states
from crest.calibrate.program_error import program_error
from crest.calibrate.rows import UNITS_HINT, Origin, PowerRow
from crest.energy.model import EnergyModel, EnergyModelFile, Work
from crest.errors import AssetError, CalibrationError, OutputError
from crest.files import write_atomically
from crest.targets import Target

_WORSE_BY, _WORSE_ABOVE = 1.05, 0.001
"""What two medians may differ by and say nothing: a part of the old one, and of the energy."""


class Comparison(NamedTuple):
    """The new model beside the one that it would replace, on the left-out rows that both predict.

    Attributes:
        rows: how many.
        error: of the new one, median of ``|predicted / measured - 1|``, each row under a fit that has not seen it.
        replaced_error: the same of the old one, as it is.
    """

    rows: int
    error: float
    replaced_error: float


class Calibration(NamedTuple):
    """A fitted model, and how it stands beside the one that it would replace.

    Attributes:
        model: in the form of ``energy_models/``.
        fit: its coefficients with standard errors.
        left_out: measured / predicted energy of each network's rows under a fit that has not seen it, by place.
        error: median of ``|predicted / measured - 1|`` over those.
        comparison: beside the model that is replaced, or why there is none.
        notes: what a user should hear: what is declared, skipped, kept and lost.
    """

    model: EnergyModel
    fit: Fit
    left_out: Mapping[int, float]
    error: float
    comparison: Comparison | str
    notes: tuple[str, ...]

    @property
    def is_worse(self) -> bool:
        """Whether it predicts networks that it has not seen worse than the other model does, by more than chance."""
        beside = self.comparison
        return not isinstance(beside, str) and beside.error > _WORSE_BY * beside.replaced_error + _WORSE_ABOVE


def calibrate(rows: Sequence[PowerRow], target: Target, origin: Origin, replaced: EnergyModel | None) -> Calibration:
    """Fit a model to measured rows.

    Args:
        rows: probes and networks.
        target: the board.
        origin: of the rows.
        replaced: the model to stand beside, whose wake-up latencies are kept: an energy tells none.

    Raises:
        CalibrationError: the rows do not tell the coefficients apart, or make no board.
        MissingExtraError: scipy is not installed.
    """
    fit = fit_rows(rows, [region.name for region in target.regions])
    ratios, skipped = leave_out(rows, fit.terms, fit.ridge)
    if not ratios:
        why = "".join(f": {reason}" for reason in list(skipped.values())[:1])
        raise CalibrationError(f"no row can be predicted by the others{why}", hint="measure more programs")
    notes = [f"not left out: {rows[place].run.name}: {reason}" for place, reason in sorted(skipped.items())]
    try:
        program = program_error(rows, ratios, replaced)
        grounds = Grounds(_data(rows, origin), _residual(rows, fit, ratios, len(skipped)), program.error)
        model = assemble(fit, rows, target, origin, grounds, replaced)
        notes += [program.warning] if program.warning else []
        if replaced is not None:
            model, told = keep_states(model, replaced)
            notes += told
    except ValidationError as exc:
        problem = exc.errors()[0]["msg"].removeprefix("Value error, ")
        raise CalibrationError(f"the fitted coefficients make no energy model: {problem}", hint=UNITS_HINT) from exc
    except ValueError as exc:
        raise CalibrationError(f"the rows that were left out give no interval: {exc}", hint=UNITS_HINT) from exc
    comparison = _compare(replaced, rows, ratios, origin)
    return Calibration(model, fit, ratios, median_error(ratios.values()), comparison, tuple(notes))


def _residual(rows: Sequence[PowerRow], fit: Fit, ratios: Mapping[int, float], skipped: int) -> str:
    judged = {rows[place].run.name for place in ratios}
    kind = "networks" if any(rows[place].run.group == "network" for place in ratios) else "probes"
    text = (
        f"median |predicted / measured - 1| {median_error(ratios.values()):.2%} over {len(judged)} {kind}, each under "
    )
    text += f"a fit of all others; ridge {fit.ridge:g}"
    return text + (f"; {skipped} rows of which no other program tells were not left out" if skipped else "")


def _data(rows: Sequence[PowerRow], origin: Origin) -> str:
    networks = len({row.run.name for row in rows if row.run.group == "network"})
    return f"{len(rows)} programs, {networks} different networks among them; {origin.identity}; {_digest(rows)}"


def _digest(rows: Sequence[PowerRow]) -> str:
    """Names the rows: by it a model tells that it was fitted to them."""
    text = "".join(sorted(row.model_dump_json() for row in rows))
    return f"rows {sha256(text.encode()).hexdigest()[:12]}"


def write_models(calibration: Calibration, others: Sequence[EnergyModel], path: Path) -> None:
    """Write the model in the place of those that hold where it does; models of other boundaries and supplies stay.

    Args:
        calibration: the model.
        others: to stay; of those that hold at the same supply, the first.
        path: of the file.

    Raises:
        OutputError: the file cannot be written.
    """
    models = [calibration.model]
    for other in others:
        if not any(other.boundary == m.boundary and other.conditions.meet(m.conditions) for m in models):
            models.append(other)
    document = EnergyModelFile(models=tuple(models)).model_dump(mode="json", exclude_defaults=True)
    text = "# Written by `crest calibrate`. Form, equation and units: docs/energy.md\n"
    try:
        write_atomically(path, (text + yaml.safe_dump(document, sort_keys=False, width=120)).encode())
    except OSError as exc:
        raise OutputError(f"{path}: cannot be written: {exc.strerror}") from exc


def _compare(
    replaced: EnergyModel | None, rows: Sequence[PowerRow], left_out: Mapping[int, float], origin: Origin
) -> Comparison | str:
    """A model may cover some of the clocks and memories that were measured: the rest says nothing of it."""
    if replaced is None:
        return "no model before it"
    if replaced.data and (f"; {origin.identity}; " in replaced.data or _digest(rows) in replaced.data):
        return "not compared with the model before it, which was fitted to these very measurements"
    ratios = {}
    for place in left_out:
        predicted_uj = predicted_energy_uj(replaced, rows[place], origin.supply_volt)
        if predicted_uj:
            ratios[place] = rows[place].energy_uj / predicted_uj
    if not ratios:
        return "the model before it predicts none of them"
    return Comparison(len(ratios), median_error([left_out[place] for place in ratios]), median_error(ratios.values()))


def predicted_energy_uj(model: EnergyModel, row: PowerRow, volt: float) -> float | None:
    """Energy of one repetition by a model; None where it knows nothing of a state of the row."""
    run = row.run
    try:
        states = model.states(run.clock_mhz, run.fetch_region, volt, Work(run.run_ms, run.counts, run.macs_by_operator))
    except AssetError:
        return None
    parts = [(states.run_power_uw, run.run_ms * 1e-3)]
    if run.sleep is not None:
        rest = states.sleep if run.sleep == "sleep" else states.deep_sleep
        parts += [(rest.power_uw, run.sleep_ms * 1e-3), (rest.wake_up_energy_uj, float(run.wake_ups))]
    if any(estimate.value is None for estimate, _ in parts):
        return None
    return sum(float(estimate.value or 0.0) * factor for estimate, factor in parts)
