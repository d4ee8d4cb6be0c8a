"""Power meters: one contract, what they record, and the meters that need no hardware.

A meter records the power of a supply over time; marks say when the program that is measured was running. Others find
their place by the entry point group ``crest.meters``; ``check_meter`` holds them to the contract.
"""

from crest.meters.base import Meter
from crest.meters.conformance import check_meter
from crest.meters.csv_meter import CsvMeter
from crest.meters.recording import Mark, Recording
from crest.meters.registry import load_meter, meter_names
from crest.meters.simulated import SimulatedMeter, Stretch
from crest.meters.windows import SPREAD_LIMIT, Reading, read_windows

__all__ = [
    "SPREAD_LIMIT",
    "CsvMeter",
    "Mark",
    "Meter",
    "Reading",
    "Recording",
    "SimulatedMeter",
    "Stretch",
    "check_meter",
    "load_meter",
    "meter_names",
    "read_windows",
]
