"""Published energies of whole networks: MLPerf Tiny, closed division."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from _silicon import table

from crest.energy.fitting import DENSE, Run
from crest.targets import Target, load_target, target_names

FILES = {
    "ad": "ad01_int8.tflite",
    "ic": "pretrainedResnet_quant.tflite",
    "kws": "kws_ref_model.tflite",
    "sww": "str_ww_ref_model.tflite",
    "vww": "vww_96_int8.tflite",
}
EXTERNAL_SMPS = "external-smps"


@dataclass(frozen=True)
class PublishedRun:
    """A row of the table; ``target`` is None for a chip that no target has."""

    run: Run
    macs: Mapping[str, int]
    row: Mapping[str, str]
    target: Target | None
    regulator: str
    core: str
    clock_mhz: float
    volt: float
    latency_ms: float
    energy_uj: float

    @property
    def label(self) -> str:
        return f"{self.row['round']} {self.row['system'][:38]} {self.row['benchmark']}"


def macs_by_operator() -> dict[str, Counter[str]]:
    """Multiply-accumulates of the reference networks, by file and operator."""
    macs: dict[str, Counter[str]] = {}
    for row in table("models/model_ops.csv"):
        if row["model"] in FILES.values():
            macs.setdefault(row["model"], Counter())[row["op"]] += int(float(row["macs"] or 0))
    return macs


def published_runs() -> list[PublishedRun]:
    """Every row with an energy per inference, of int8 networks on Cortex-M; one that lacks what is needed is named."""
    targets = [load_target(name) for name in target_names()]
    macs = macs_by_operator()
    runs = []
    for row in table("mlperf/mlperf_tiny_open.csv"):
        if not row["energy_uJ_per_inf"]:
            continue
        missing = [name for name in ("clock_mhz", "latency_ms_median_from_windows") if not row[name]]
        missing += [] if row["supply_mV_energy_run"] or row["supply_mV_from_system_json"] else ["supply"]
        missing += [] if FILES.get(row["benchmark"]) in macs else ["reference network"]
        if missing:
            print(f"left out, no {', '.join(missing)}: {row['round']} {row['system']} {row['benchmark']}")
        else:
            runs.append(_run(row, targets, macs))
    return runs


def _run(row: Mapping[str, str], targets: list[Target], macs: Mapping[str, Counter[str]]) -> PublishedRun:
    target = next((one for one in targets if row["mcu"].startswith(one.mcu)), None)
    of_target = target.supply.regulator if target else "any"
    regulator = EXTERNAL_SMPS if "external SMPS" in row["notes"] else of_target
    clock_mhz = float(row["clock_mhz"])
    volt = float(row["supply_mV_energy_run"] or row["supply_mV_from_system_json"]) / 1e3
    latency_ms, energy_uj = float(row["latency_ms_median_from_windows"]), float(row["energy_uJ_per_inf"])
    operators = macs[FILES[row["benchmark"]]]
    run = Run(
        board=f"{target.mcu if target else row['mcu']} {clock_mhz:g} MHz {regulator}",
        system=" ".join((row["round"], row["submitter"], row["system"])),
        program=row["benchmark"],
        dense_share=operators[DENSE] / sum(operators.values()),
        current_ma=energy_uj / latency_ms / volt,
    )
    core = row["core_family"]
    return PublishedRun(run, operators, row, target, regulator, core, clock_mhz, volt, latency_ms, energy_uj)
