"""Engines: run an ELF on an emulated board and return an execution profile."""

from crest.emulators.base import Engine, Machine
from crest.emulators.registry import engine_names, load_engine

__all__ = ["Engine", "Machine", "engine_names", "load_engine"]
