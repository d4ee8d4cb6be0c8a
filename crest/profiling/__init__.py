"""Where the time of any Cortex-M firmware goes: by function, by source line, by calling context."""

from crest.profiling.flame import folded_stacks, speedscope
from crest.profiling.report import CallPath, FirmwareProfile, FunctionCost, LineCost
from crest.profiling.run import ProfileRequest, profile_firmware

__all__ = [
    "CallPath", "FirmwareProfile", "FunctionCost", "LineCost", "ProfileRequest", "folded_stacks",
    "profile_firmware", "speedscope",
]  # fmt: skip
