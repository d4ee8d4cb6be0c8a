"""Published energies: what the energy models hold is what the fit gives, and it beats the trivial model."""

from __future__ import annotations

from pathlib import Path

import pytest

from crest.energy import load_energy_models
from crest.energy.conformal import relative_error
from crest.energy.fitting import DENSE, by_system, fit_currents, leave_programs_out, leave_systems_out

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def published(data_folder: Path):
    if not (data_folder / "silicon" / "mlperf").is_dir():
        pytest.skip(f"no silicon measurements in {data_folder}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        patch.setenv("CREST_DATA", str(data_folder))
        from _energy_runs import published_runs

        yield [one for one in published_runs() if one.target is not None]


@pytest.mark.data
def test_the_models_hold_what_the_fit_gives(published) -> None:
    runs = [one.run for one in published]
    fit = fit_currents(runs)
    errors = {
        "power": relative_error(by_system(leave_systems_out(runs)), 0.9, "set-up unknown"),
        "candidate": relative_error(by_system(leave_programs_out(runs)), 0.9, "calibrated"),
    }
    fitted = 0
    for target in {one.target.name: one.target for one in published}.values():
        for model in load_energy_models(target):
            for state in model.run:
                if state.current_ua is None or state.current_ua.kind != "fit":
                    continue
                fitted += 1
                board = f"{target.mcu} {state.clock_mhz:g} MHz {model.conditions.regulator}"
                assert state.current_ua.value == pytest.approx(1e3 * fit.current_ma[board], rel=2e-3)
                assert model.operator_factors[DENSE].value == pytest.approx(fit.dense_factor, abs=2e-3)
                for error, stated in (
                    (errors["power"], state.power_error),
                    (errors["candidate"], model.candidate_error),
                ):
                    assert error is not None and stated is not None
                    assert (stated.low, stated.high) == pytest.approx((error.low, error.high), abs=0.01)
    assert fitted == 2


@pytest.mark.data
def test_left_out_it_is_better_than_the_trivial_model_and_covers_what_it_says(published) -> None:
    from energy_fidelity import compare, with_own_cycles

    figures = compare(published)
    for name, aim_pct in (("loso", 8.0), ("lomo", 5.0)):
        error_pct = figures[f"{name}_median_abs_error_pct"]
        trivial_pct = figures[f"trivial_{name}_median_abs_error_pct"]
        low_pct, high_pct = figures[f"{name}_coverage_low_pct"], figures[f"{name}_coverage_high_pct"]
        assert error_pct is not None and trivial_pct is not None and low_pct is not None and high_pct is not None
        assert error_pct <= min(aim_pct, trivial_pct)
        assert low_pct <= 90 <= high_pct
    own = with_own_cycles(published)
    assert own["own_cycles_rows"] == 2 and own["own_cycles_coverage_90_pct"] == 100
