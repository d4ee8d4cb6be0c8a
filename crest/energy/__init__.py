"""From states and time to joules, with an interval.

``load_energy_model(target, boundary)`` reads ``energy_models/<target>.yaml``; ``EnergyModel.states`` gives what
``crest.schedule.characterise`` needs.
"""

from crest.energy.loading import load_energy_model
from crest.energy.model import EnergyModel

__all__ = ["EnergyModel", "load_energy_model"]
