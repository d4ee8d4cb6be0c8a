"""From states and time to joules, with an interval.

``load_energy_model(target, boundary)`` reads ``energy_models/<target>.yaml``; ``load_power(target, clock_mhz)`` gives
what ``crest.schedule.characterise`` needs, also for a board without a model.
"""

from crest.energy.loading import (
    Power,
    energy_model_path,
    load_energy_model,
    load_energy_models,
    load_power,
    own_file_name,
)
from crest.energy.model import EnergyModel, Work

__all__ = [
    "EnergyModel",
    "Power",
    "Work",
    "energy_model_path",
    "load_energy_model",
    "load_energy_models",
    "load_power",
    "own_file_name",
]
