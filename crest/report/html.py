"""The report of a run as one HTML file that needs nothing else: no script, no request, pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Final

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from crest.measurement import Estimate, Measurement
from crest.report.format import ABSENT, format_estimate, format_value, title_of
from crest.report.plot import DARK, LIGHT, front_png
from crest.report.rows import (
    CostRow,
    candidate_text,
    cost_rows,
    counts_text,
    front_columns,
    layer_rows,
    memory_rows,
    metric_cell,
)
from crest.report.view import Entry, RunView
from crest.schedule import battery_life_h

_ORIGINS: Final = {
    "emulated": "The shipped firmware was executed instruction by instruction on an emulated core; cycles are those of "
    "the timing model over what was executed.",
    "measured": "Taken on a physical board.",
    "estimated": "Computed from a model with declared or fitted coefficients; the interval is the model's, "
    "and no board was measured.",
}


def render_html(view: RunView, *, supply_volt: float | None = None) -> str:
    """Render the report; every text of the records is escaped.

    Args:
        view: the run; it needs its header.
        supply_volt: supply of the energy model, for the battery life when the study names a capacity.
    """
    assert view.header is not None
    environment = Environment(
        loader=PackageLoader("crest.report", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    columns = front_columns(view)
    measured = [entry.measurement for entry in view.front if entry.measurement]
    return environment.get_template("report.html.j2").render(
        header=view.header,
        finished=view.finished,
        counts=counts_text(view),
        study_yaml=yaml.safe_dump(view.header.study, sort_keys=False, allow_unicode=True),
        plot_light=_data_uri(front_png(view, LIGHT)),
        plot_dark=_data_uri(front_png(view, DARK)),
        plot_alt=f"{len(view.front)} members of the front, {title_of(view.objectives[0]) if view.objectives else ''}",
        front_heads=[title_of(name) for name in columns],
        front_rows=[_front_row(entry, columns) for entry in view.front],
        members=[_member(entry, _battery_mah(view), supply_volt) for entry in view.front],
        prices=[_price_row(entry) for entry in view.front],
        refused=[_refused_row(entry) for entry in view.entries if entry.status in ("infeasible", "rejected", "failed")],
        provenance=_provenance(measured),
        origins=[(name, _ORIGINS[name]) for name in _ORIGINS if name in _origins(measured)],
        notes=list(dict.fromkeys(note for measurement in measured for note in measurement.notes)),
    )


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _front_row(entry: Entry, columns: Iterable[str]) -> dict[str, Any]:
    return {
        "number": entry.number,
        "clock": entry.clock_text,
        "candidate": candidate_text(entry),
        "cells": [metric_cell(entry, name) for name in columns],
        "price": "final" if entry.member else "search",
    }


def _member(entry: Entry, battery_mah: float | None, supply_volt: float | None) -> dict[str, Any]:
    """Everything the report says about one member, as text."""
    measurement = entry.measurement
    training = entry.trial.training
    facts = [("target", entry.trial.target), ("quantization", entry.trial.quantization), *entry.candidate.items()]
    if training:
        facts += [("parameters", f"{training.parameters:,}"), ("epochs", f"{training.epochs} (seed {training.seed})")]
    errors = [(f"{title_of(name)}, validation", format_value(name, value)) for name, value in _metrics(entry).items()]
    if entry.member:
        errors += [
            (f"{title_of(name)}, test", format_value(name, value)) for name, value in entry.member.test_metrics.items()
        ]
        facts += [(f"file: {name}", path) for name, path in entry.member.files.items()]
    member: dict[str, Any] = {"number": entry.number, "clock": entry.clock_text, "facts": facts, "errors": errors}
    if measurement is None:
        return member | {"costs": [], "memory": [], "layers": []}
    costs = [row._replace(name=title_of(row.name)) for row in cost_rows(measurement)]
    if battery_mah is not None:
        life = battery_life_h(measurement.average_power_uw, battery_mah, supply_volt)
        text = format_estimate("battery_life_h", life)
        costs.append(CostRow(f"battery life, {battery_mah:g} mAh", text, ABSENT, life.origin))
    return member | {
        "costs": costs,
        "memory": memory_rows(measurement.memory),
        "layers": [
            {
                "name": row.name,
                "operator": row.operator,
                "macs": ABSENT if row.macs is None else f"{row.macs:,}",
                "cycles": f"{row.cycles:,.0f}",
                "cycles_per_mac": format_value("cycles_per_mac", row.cycles_per_mac),
                "share_pct": round(100 * row.share, 1),
            }
            for row in layer_rows(measurement)
        ],
    }


def _metrics(entry: Entry) -> dict[str, float]:
    return entry.trial.metrics | (entry.member.metrics if entry.member else {})


def _price_row(entry: Entry) -> dict[str, Any]:
    """The price that the search decided with against that of the trained program."""
    search = entry.trial.price.cycles.value if entry.trial.price else None
    final = entry.member.measurement.cycles.value if entry.member else None
    return {
        "number": entry.number,
        "clock": entry.clock_text,
        "search": format_value("cycles", search),
        "final": format_value("cycles", final),
        "difference": f"{entry.member.price_difference_pct:+.2f} %" if entry.member else "not rebuilt yet",
        "golden": f"{entry.member.measurement.golden_pairs_checked}" if entry.member else ABSENT,
    }


def _refused_row(entry: Entry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "clock": entry.clock_text,
        "candidate": candidate_text(entry),
        "state": entry.status,
        "reason": entry.reason or ("with its trained weights" if entry.member else ABSENT),
        "violations": [f"{name}: {100 * beyond:.3g} % beyond" for name, beyond in entry.violations.items()],
    }


def _provenance(measurements: list[Measurement]) -> list[tuple[str, list[str]]]:
    """Models and tools behind the front; more than one value in a row is worth a look."""
    names = ("backend", "schedule", "timing_model", "energy_model", "toolchain", "runtime", "lowering", "placement")
    return [
        (name.replace("_", " "), list(dict.fromkeys(str(getattr(one, name)) for one in measurements))) for name in names
    ]


def _origins(measurements: list[Measurement]) -> set[str]:
    return {
        value.origin
        for measurement in measurements
        for name in type(measurement).model_fields
        if isinstance(value := getattr(measurement, name), Estimate)
    }


def _battery_mah(view: RunView) -> float | None:
    capacity = view.header.study.get("battery_mah") if view.header else None
    return float(capacity) if isinstance(capacity, (int, float)) else None
