"""Reads a study file, and gives editors its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crest.errors import StudyError
from crest.study.records import Study
from crest.yaml_io import load_yaml, validate


def load_study(path: Path) -> Study:
    """Read a study file; its relative paths start from the file's folder.

    Raises:
        StudyError: the file cannot be read or does not make sense; every problem is named with its dotted path.
    """
    return parse_study(load_yaml(path, StudyError), source=str(path), folder=path.resolve().parent)


def parse_study(data: Mapping[str, Any], *, source: str = "study", folder: Path | None = None) -> Study:
    """Turn parsed data into a study, for example the ``study`` of a ledger's header.

    Args:
        data: what a study file holds.
        source: named in errors.
        folder: where relative paths start; the working directory by default.

    Raises:
        StudyError: as :func:`load_study`.
    """
    study = validate(data, Study, source, StudyError)
    return study.placed_in(folder.resolve() if folder else Path.cwd())


def study_schema() -> dict[str, Any]:
    """JSON Schema (draft 7, what YAML editors understand) of a study file."""
    schema = Study.model_json_schema(ref_template="#/definitions/{model}")
    schema["definitions"] = schema.pop("$defs")
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
