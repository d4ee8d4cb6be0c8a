"""Finds implementations of a contract by name: those that ship, and those of installed packages (entry points).

What ships cannot be replaced, and is found in any checkout.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from crest.errors import CrestError, StudyError


@dataclass(frozen=True)
class Plugins:
    """The implementations of one contract.

    Attributes:
        kind: what one is called in messages, ``engine``; more of them are ``kind + "s"`` unless ``plural`` says.
        group: entry point group.
        built_in: what ships, by name, as ``module:object``.
        error: what a package that cannot be loaded raises.
        plural: in hints.
    """

    kind: str
    group: str
    built_in: Mapping[str, str]
    error: type[CrestError] = StudyError
    plural: str = ""

    def names(self) -> list[str]:
        """Names of all that are installed, sorted."""
        return sorted(self._found())

    def load(self, name: str) -> Any:
        """The object behind a name.

        Raises:
            StudyError: there is none of that name; the hint lists those that exist.
            CrestError: ``error``, its package is broken.
        """
        found = self._found()
        if name not in found:
            close = difflib.get_close_matches(str(name), found, n=1)
            raise StudyError(
                f"unknown {self.kind} {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
                hint=f"{self.plural or f'{self.kind}s'}: {', '.join(sorted(found))}",
            )
        try:
            return found[name].load()
        except (ImportError, AttributeError) as exc:
            raise self.error(
                f"{self.kind} {name!r}: {found[name].value} cannot be loaded: {exc}",
                hint="reinstall the package it comes from",
            ) from exc

    def _found(self) -> dict[str, EntryPoint]:
        found = {entry.name: entry for entry in entry_points(group=self.group)}
        return found | {name: EntryPoint(name, value, self.group) for name, value in self.built_in.items()}
