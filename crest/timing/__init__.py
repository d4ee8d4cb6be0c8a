"""From an execution profile to cycles, with an interval: ``load_cycle_model(target)``."""

from crest.timing.model import CoreTiming, CycleModel, load_cycle_model

__all__ = ["CoreTiming", "CycleModel", "load_cycle_model"]
