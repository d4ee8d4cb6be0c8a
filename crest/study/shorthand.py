"""Fields that may be given shorter than they are meant: ``backend: emulated``; constraints and expressions as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_Item = TypeVar("_Item", bound=str | float)


@dataclass(frozen=True)
class AsText:
    """Annotation: a record that is text in files; ``parse`` reads it, ``schema`` is what editors know of the text."""

    parse: Callable[[str], Any]
    schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            self._read, handler(source), serialization=core_schema.to_string_ser_schema()
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", **self.schema}

    def _read(self, value: Any) -> Any:
        return self.parse(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class NamedValue:
    """Annotation: the name of one of ``values`` may stand for it."""

    values: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._find, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"enum": list(self.values)}, handler(schema)]}

    def _find(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in self.values:
            raise ValueError(f"{value!r} is not one of {', '.join(self.values)}")
        return self.values[value]


@dataclass(frozen=True)
class WordOrMapping:
    """Annotation: one of ``words`` may stand for ``{word: {}}``, or for itself under each of ``keys``."""

    words: tuple[str, ...]
    keys: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._expand, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"enum": list(self.words)}, handler(schema)]}

    def _expand(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in self.words:
            mapping = f", nor a mapping with {', '.join(self.keys)}" if self.keys else ""
            raise ValueError(f"{value!r} is not one of {', '.join(self.words)}{mapping}")
        return dict.fromkeys(self.keys, value) if self.keys else {value: {}}


@dataclass(frozen=True)
class OneOrList:
    """Annotation: a single item stands for a list of one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._wrap, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}

    @staticmethod
    def _wrap(value: Any) -> Any:
        return value if isinstance(value, (list, tuple)) else [value]


@dataclass(frozen=True)
class NamesWithOptions:
    """Annotation of a mapping from names to options: a name alone has none, and a list holds names and mappings."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._expand, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        one = {"anyOf": [{"type": "string"}, handler(schema)]}
        return {"anyOf": [*one["anyOf"], {"type": "array", "items": one}]}

    @staticmethod
    def _expand(value: Any) -> Any:
        items = value if isinstance(value, (list, tuple)) else [value]
        named: dict[Any, Any] = {}
        for item in items:
            for name, options in {item: {}}.items() if isinstance(item, str) else _mapping(item).items():
                if name in named:
                    raise ValueError(f"given twice: {name}")
                named[name] = options
        return named


def _mapping(item: Any) -> dict[Any, Any]:
    if not isinstance(item, dict):
        raise ValueError(f"{item!r} is neither a name nor a name with its options")
    return item


def distinct(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    """The items themselves.

    Raises:
        ValueError: an item is given twice.
    """
    repeated = sorted({item for item in items if items.count(item) > 1})
    if repeated:
        raise ValueError(f"given twice: {', '.join(map(str, repeated))}")
    return items
