"""Reads YAML safely into validated records, with errors that name the file and the dotted path of the key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from crest.errors import CrestError
from crest.units import converted, other_quantity, same_quantity

Record = TypeVar("Record", bound=BaseModel)


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice instead of keeping the last."""


def _construct_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, (str, int, float, bool)):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


def load_yaml(path: Path, error: type[CrestError]) -> dict[str, Any]:
    """Parse a YAML file whose top level is a mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as exc:
        raise error(f"{path}: cannot be read: {exc}") from exc
    try:
        data = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - derives from SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise error(f"{path}: not valid YAML: {exc}") from exc
    if not isinstance(data, dict):
        raise error(f"{path}: expected a mapping at the top level, got {type(data).__name__}")
    return data


def validate(data: Mapping[str, Any], model: type[Record], source: str, error: type[CrestError]) -> Record:
    """Turn parsed data into a record; every problem is listed with its dotted path and a did-you-mean."""
    try:
        record = model.model_validate(data)
    except ValidationError as exc:
        every = exc.errors(include_url=False)
        items = [item for item in every if not _echoes_another(item)] or every
        raise error(
            f"{source}: {_listed([_describe(item, model) for item in items])}", hint=_hint(items, model)
        ) from exc
    mistaken = list(_booleans_for_numbers(data, record))
    if mistaken:
        raise error(f"{source}: {_listed(mistaken)}")
    return record


def _listed(problems: list[str]) -> str:
    return problems[0] if len(problems) == 1 else f"{len(problems)} problems\n  " + "\n  ".join(problems)


def _echoes_another(item: Any) -> bool:
    """A list counts as too short, too, when items of it were refused."""
    return (
        item["type"] == "too_short"
        and isinstance(item["input"], Sized)
        and len(item["input"]) >= item["ctx"]["min_length"]
    )


def _booleans_for_numbers(written: Any, read: Any, place: tuple[Any, ...] = ()) -> Iterator[str]:
    """Places where a truth value was read as one or zero."""
    if isinstance(written, bool):
        read = read[0] if isinstance(read, tuple) and len(read) == 1 else read
        if isinstance(read, int | float) and not isinstance(read, bool):
            yield f"{_dotted(place)}: expected a number, got {str(written).lower()}"
    elif isinstance(written, Mapping):
        fields = dict(read) if isinstance(read, BaseModel) else read
        if isinstance(fields, Mapping):
            for key in (key for key in written if key in fields):
                yield from _booleans_for_numbers(written[key], fields[key], (*place, key))
    elif isinstance(written, list) and isinstance(read, list | tuple) and len(written) == len(read):
        for number, pair in enumerate(zip(written, read, strict=True)):
            yield from _booleans_for_numbers(*pair, (*place, number))
    elif isinstance(written, list) and isinstance(read, Mapping):
        for item in written:
            yield from _booleans_for_numbers(item, read, place)


def _dotted(location: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in location) or "(top level)"


def _describe(item: Any, model: type[BaseModel]) -> str:
    path = _dotted(item["loc"])
    if item["type"] == "extra_forbidden":
        close = _suggest(item["loc"], model)
        return f"unknown key {path!r}" + (f"; did you mean {close!r}?" if close else "")
    if item["type"] == "missing":
        return f"missing key {path!r}"
    return f"{path}: {item['msg'].removeprefix('Value error, ')}"


def _hint(items: list[Any], model: type[BaseModel]) -> str | None:
    """What to write for the first key in another unit; else which keys there are beside the first unknown one."""
    unknown = [(str(item["loc"][-1]), item) for item in items if item["type"] == "extra_forbidden"]
    beside = [_fields_at(item["loc"][:-1], model) for _, item in unknown]
    for (key, item), fields in zip(unknown, beside, strict=True):
        meant = same_quantity(key, fields)
        instead = converted(key, item["input"], meant) if meant else None
        if instead:
            return f"the unit is part of the key: write {instead}"
    return next((f"keys known there: {', '.join(fields)}" for fields in beside if fields), None)


def _suggest(location: tuple[Any, ...], model: type[BaseModel]) -> str | None:
    key, fields = str(location[-1]), _fields_at(location[:-1], model)
    alike = [name for name in fields if not other_quantity(key, name)]
    close = difflib.get_close_matches(key, alike, n=1, cutoff=0.5)
    return same_quantity(key, fields) or (close[0] if close else None)


def _fields_at(location: tuple[Any, ...], model: type[BaseModel]) -> list[str]:
    """Field names of the record reached by walking ``location`` from ``model``; unions are searched."""
    candidates: list[type[BaseModel]] = [model]
    for part in location:
        following: list[type[BaseModel]] = []
        for candidate in candidates:
            field = candidate.model_fields.get(str(part))
            if field is not None:
                following.extend(_models_in(field.annotation))
        candidates = following or candidates
    return sorted({name for candidate in candidates for name in candidate.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for arg in getattr(annotation, "__args__", ()) for model in _models_in(arg)]
