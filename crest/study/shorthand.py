"""A field that may be given as one word where a mapping is meant: ``backend: emulated``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class WordOrMapping:
    """Annotation: one of ``words`` stands for ``{word: {}}``, or for ``{key: word}``; editors are offered both."""

    words: tuple[str, ...]
    key: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._expand, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"enum": list(self.words)}, handler(schema)]}

    def _expand(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in self.words:
            mapping = f", nor a mapping with {self.key}" if self.key else ""
            raise ValueError(f"{value!r} is not one of {', '.join(self.words)}{mapping}")
        return {self.key: value} if self.key else {value: {}}


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
        return [value] if isinstance(value, str) else value
