"""A replay as files for other programs: CSV, one row a network and board with source and target columns, and JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from crest.replay.comparison import Cell, Column, Comparison
from crest.report.export import cost_columns
from crest.study import Policy

REPLAY_FILE_SCHEMA = 1


def replay_csv(found: Comparison) -> str:
    """One row a network and board: identity, errors, what it cost in the run (``source.``) and costs on the board."""
    rows = [
        _row(found.policy, source, cell, board)
        for board in found.boards
        for source, cell in zip(found.source.cells, board.cells, strict=True)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def replay_json(found: Comparison) -> str:
    """The same as JSON, every measurement in full, with the policy and what the boards agree on."""
    document = {
        "schema_version": REPLAY_FILE_SCHEMA,
        "run": found.run,
        "policy": found.policy.model_dump(mode="json"),
        "source": _place(found.source),
        "boards": [_place(board) | {"agreement": _agreement(found, board)} for board in found.boards],
        "on_every_front": list(found.everywhere),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _row(policy: Policy, source: Cell, cell: Cell, board: Column) -> dict[str, Any]:
    entry = cell.network.entry
    row: dict[str, Any] = {
        "number": entry.number,
        "quantization": entry.trial.quantization,
        "board": board.label,
        "verdict": cell.verdict,
        "reason": cell.reason,
        "source.verdict": source.verdict,
        "source.price": "final" if entry.member else "search",
    }
    row |= {f"candidate.{name}": value for name, value in entry.candidate.items()}
    row |= {f"metric.{name}": value for name, value in cell.network.recorded.items()}
    for prefix, one in (("source.", source), ("target.", cell)):
        if one.measurement is not None:
            row[f"{prefix}name"] = one.measurement.target
            derived = {name: one.metrics[name] for name in policy.derived if name in one.metrics}
            row |= {f"{prefix}{name}": value for name, value in (cost_columns(one.measurement) | derived).items()}
    return row


def _place(column: Column) -> dict[str, Any]:
    return {
        "label": column.label,
        "schedule": column.schedule,
        "front": list(column.front),
        "networks": [
            {
                "number": cell.network.number,
                "verdict": cell.verdict,
                "reason": cell.reason,
                "metrics": dict(cell.metrics),
                "measurement": cell.measurement.model_dump(mode="json") if cell.measurement else None,
            }
            for cell in column.cells
        ],
    }


def _agreement(found: Comparison, board: Column) -> dict[str, Any]:
    agreement = found.agreement(board)
    return {
        "metric": found.metric,
        "kendall_tau": agreement.kendall_tau,
        "compared": agreement.compared,
        "shared_front": list(agreement.shared),
    }
