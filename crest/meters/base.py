"""The contract of a power meter."""

from __future__ import annotations

import math
from typing import Protocol, get_args, runtime_checkable

from crest.errors import MeterError
from crest.measurement import Boundary
from crest.meters.recording import Recording


@runtime_checkable
class Meter(Protocol):
    """Records the power of one supply.

    Attributes:
        identity: make, version and serial number, or file: what a record names.
        boundary: what the supply feeds: the rail of the microcontroller, or the whole board.
        supply_volt: of that supply; None where it is not known.
        sample_rate_hz: of what it records; None where samples are not evenly spaced.
        resolution_uw: the smallest step of power that it tells; None where it is not known.
    """

    identity: str
    boundary: Boundary
    supply_volt: float | None
    sample_rate_hz: float | None
    resolution_uw: float | None

    def arm(self) -> None:
        """Begin to record; what was recorded before is dropped.

        Raises:
            MeterError: the meter is gone, or busy.
        """
        ...

    def collect(self) -> Recording:
        """Stop, and hand over what was recorded since the meter was armed.

        Raises:
            MeterError: it was not armed, has recorded nothing, or has lost samples.
        """
        ...

    def close(self) -> None:
        """Release the meter; may be called again."""
        ...


def check_supply(boundary: Boundary, supply_volt: float | None) -> None:
    """What every meter is told of the supply.

    Raises:
        MeterError: a boundary that is not known, or a supply without a voltage.
    """
    if boundary not in get_args(Boundary):
        raise MeterError(f"boundary {boundary!r} is not known", hint=f"one of {', '.join(get_args(Boundary))}")
    if supply_volt is not None and not 0 < supply_volt < math.inf:
        raise MeterError(f"supply_volt is {supply_volt}", hint="above 0; None where it is not known")
