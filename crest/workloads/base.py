"""What a workload is: data in windows, a task with output heads, metrics, and a cadence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

SplitName = Literal["train", "valid", "test"]
Loss = Literal["mse", "cross_entropy"]


@dataclass(frozen=True)
class Head:
    """One output of the network: its name, its width in units, and the loss it is trained with."""

    name: str
    units: int
    loss: Loss


@dataclass(frozen=True)
class Split:
    """Windows of one split.

    Attributes:
        x: float32 [n, *input_shape], standardised as the network sees it.
        y: float32 [n, sum of head units] targets (class index as float for cross entropy).
        recording: int32 [n], which recording each window comes from.
        start: int32 [n], index of the window's first sample in its recording.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    recording: NDArray[np.int32]
    start: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class BufferPlan:
    """RAM that the application around the network needs, by name, in bytes."""

    buffers_bytes: Mapping[str, int] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        """Sum of all buffers."""
        return sum(self.buffers_bytes.values())


class Workload(Protocol):
    """Data + task + metrics."""

    name: str
    input_shape: tuple[int, ...]
    heads: tuple[Head, ...]
    period_ms: float
    error_metrics: tuple[str, ...]

    def split(self, name: SplitName) -> Split:
        """Windows of a split; loaded once."""
        ...

    def metrics(self, split: SplitName, predicted: NDArray[np.float32]) -> dict[str, float]:
        """Metrics by name for predictions [n, sum of head units] on a split, in its order."""
        ...

    def buffers(self, element_bytes: int) -> BufferPlan:
        """Sensor and feature buffers on the device when the input has elements of that size."""
        ...

    def fingerprint(self) -> str:
        """A hash of the data and of every option that shapes the windows."""
        ...
