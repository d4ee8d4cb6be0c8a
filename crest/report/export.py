"""The front as files for other programs: CSV, one row a member, and JSON, every record in full."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from crest.measurement import Estimate, Measurement
from crest.report.view import Entry, RunView

FRONT_SCHEMA = 1
_PROVENANCE = (
    "schedule", "clock_mhz", "timing_model", "energy_model", "toolchain", "runtime", "lowering", "placement",
    "elf_sha256",
)  # fmt: skip


def front_csv(view: RunView) -> str:
    """The front as CSV: identity, candidate, objectives, metrics, costs with interval ends, provenance.

    An empty front gives the header line of the columns every front has.
    """
    rows = [_row(entry, view) for entry in view.front]
    columns = dict.fromkeys(["number", "target", "quantization", "price", *view.objectives])
    for row in rows:
        columns.update(dict.fromkeys(row))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def front_json(view: RunView) -> str:
    """The front as JSON: of each member the trial at its clock and, once rebuilt, the member record."""
    document = {
        "schema_version": FRONT_SCHEMA,
        "run": view.header.run if view.header else None,
        "finished": view.finished is not None,
        "objectives": list(view.objectives),
        "front": [
            {
                "number": entry.number,
                "clock_mhz": entry.trial.key.clock_mhz,
                "trial": entry.trial.model_dump(mode="json"),
                "member": entry.member.model_dump(mode="json") if entry.member else None,
            }
            for entry in view.front
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _row(entry: Entry, view: RunView) -> dict[str, Any]:
    row: dict[str, Any] = {
        "number": entry.number,
        "target": entry.trial.target,
        "quantization": entry.trial.quantization,
        "price": "final" if entry.member else "search",
    }
    row |= {name: entry.value(name) for name in view.objectives}
    row |= {f"candidate.{name}": value for name, value in entry.candidate.items()}
    metrics = entry.trial.metrics | (entry.member.metrics if entry.member else {})
    metrics = metrics | {name: value for name in view.derived if (value := entry.value(name)) is not None}
    row |= {f"metric.{name}": value for name, value in metrics.items() if name not in view.objectives}
    if entry.member:
        row |= {f"test.{name}": value for name, value in entry.member.test_metrics.items()}
        row["price_difference_pct"] = entry.member.price_difference_pct
        row |= {f"file.{name}": path for name, path in entry.member.files.items()}
    return row | (cost_columns(entry.measurement) if entry.measurement else {})


def cost_columns(measurement: Measurement) -> dict[str, Any]:
    """What a measurement says as columns of a CSV: costs, the ends of their intervals, provenance."""
    costs: dict[str, Any] = {
        name: value
        for name, value in measurement.metrics().items()
        if not isinstance(getattr(measurement, name, 0), Estimate)
    }
    for name in type(measurement).model_fields:
        estimate = getattr(measurement, name)
        if isinstance(estimate, Estimate):
            costs |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return costs | {name: getattr(measurement, name) for name in _PROVENANCE}
