"""Trains a layer graph with torch: the sum of the heads' losses, Adam, the weights of the best epoch.

Regression targets are standardised while training: each column by its mean over the training windows, all columns by
one common scale, so that the objective stays the plain sum of the heads' mean squared errors. Offset and scale are
folded into the heads' dense layers at the end: the network that ships returns physical units.
Importing this module needs the search extra.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from crest.errors import TrainingError
from crest.frozen import Frozen
from crest.models.extras import require_search_extra
from crest.models.layers import Dense, LayerGraph
from crest.models.torch_net import TorchNet, deterministic_torch
from crest.models.weights import Weights, initial_weights
from crest.workloads.base import Head, Split

torch = require_search_extra("torch")
functional = require_search_extra("torch.nn.functional")

Tensor = Any
EpochCallback = Callable[[int, float], bool]


class TrainingSettings(Frozen):
    """How to train.

    Attributes:
        epochs: passes over the training windows, at most.
        batch_size: windows per step.
        learning_rate: of Adam.
        patience: epochs without a better validation loss after which training stops; None trains to the end.
        seed: of the initial weights, the order of the windows and dropout.
        threads: torch threads; another number may round sums differently.
    """

    epochs: int = Field(gt=0)
    batch_size: int = Field(default=256, gt=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    patience: int | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)
    threads: int = Field(default=1, gt=0)


@dataclass(frozen=True)
class TrainedModel:
    """What training leaves behind.

    Attributes:
        weights: those of the best epoch; predictions are in physical units.
        validation_loss: sum of the heads' losses on the validation windows after each epoch, in squared physical
            units for regression and nats for classes.
        best_epoch: the epoch of the weights, counted from 1.
    """

    weights: Weights
    validation_loss: tuple[float, ...]
    best_epoch: int


def train(
    graph: LayerGraph,
    heads: Sequence[Head],
    train: Split,
    valid: Split,
    settings: TrainingSettings,
    *,
    on_epoch: EpochCallback | None = None,
) -> TrainedModel:
    """Train a graph from seeded initial weights. Equal arguments give equal weights on one class of machine.

    Args:
        graph: outputs are the heads, in their order.
        heads: their losses; a cross-entropy head takes one column of targets, the class index, and returns logits.
        train: windows to learn from, at least two.
        valid: windows that choose the epoch, at least one.
        settings: how to train.
        on_epoch: called after each epoch with its number from 1 and the validation loss; True ends training.

    Raises:
        ModelError: windows that do not fit the graph's input.
        TrainingError: targets that do not fit the heads, too few windows, or a loss that is not finite.
    """
    _check_outputs(graph, heads)
    if len(train) < 2 or not len(valid):
        raise TrainingError(
            f"training needs windows: {len(train)} to learn from (2 at least), {len(valid)} to validate (1)"
        )
    for name, split in (("train", train), ("valid", valid)):
        _check_targets(name, split, heads)
    with deterministic_torch(settings.threads):
        return _Run(graph, heads, train, settings).fit(_tensors(graph, valid), on_epoch)


def _target_width(head: Head) -> int:
    return 1 if head.loss == "cross_entropy" else head.units


def _check_outputs(graph: LayerGraph, heads: Sequence[Head]) -> None:
    wanted = [(head.units,) for head in heads]
    if list(graph.output_shapes) != wanted:
        raise TrainingError(f"the network returns shapes {list(graph.output_shapes)}, the heads want {wanted}")


def _check_targets(name: str, split: Split, heads: Sequence[Head]) -> None:
    width = sum(_target_width(head) for head in heads)
    if split.y.shape != (len(split), width):
        raise TrainingError(f"{name} targets have shape {split.y.shape}, the heads want ({len(split)}, {width})")
    column = 0
    for head in heads:
        if head.loss == "cross_entropy":
            classes = split.y[:, column]
            if not (np.equal(classes, np.round(classes)) & (classes >= 0) & (classes < head.units)).all():
                raise TrainingError(f"{name} targets of head {head.name!r} are not class indices below {head.units}")
        column += _target_width(head)


def _tensors(graph: LayerGraph, split: Split) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(graph.batched(split.x)), torch.from_numpy(np.ascontiguousarray(split.y, dtype=np.float32))


@dataclass(frozen=True)
class _TargetScale:
    """physical = standardised * scale + offset; the scale is one number for all regression columns."""

    offset: NDArray[np.float32]
    scale: float

    @classmethod
    def of(cls, graph: LayerGraph, heads: Sequence[Head], y: NDArray[np.float32]) -> _TargetScale:
        regression = np.concatenate([np.full(_target_width(head), head.loss == "mse") for head in heads])
        layers = {node.name: node.layer for node in graph.nodes}
        for head, name in zip(heads, graph.outputs, strict=True):
            layer = layers[name]
            if head.loss == "mse" and not (isinstance(layer, Dense) and layer.use_bias):
                regression[:] = False  # nothing to fold the scale into
        if not regression.any():
            return cls(np.zeros(y.shape[1], dtype=np.float32), 1.0)
        offset = np.where(regression, y.mean(axis=0, dtype=np.float64), 0.0).astype(np.float32)
        scale = float(np.sqrt(y[:, regression].var(axis=0, dtype=np.float64).mean()))
        return cls(offset, scale if scale > 0 else 1.0)

    def fold(self, graph: LayerGraph, heads: Sequence[Head], weights: Weights) -> Weights:
        """Weights whose regression heads return physical units."""
        folded = dict(weights)
        column = 0
        for head, name in zip(heads, graph.outputs, strict=True):
            width = _target_width(head)
            if head.loss == "mse" and f"{name}.bias" in folded:
                scale = np.float32(self.scale)
                folded[f"{name}.kernel"] = folded[f"{name}.kernel"] * scale
                folded[f"{name}.bias"] = folded[f"{name}.bias"] * scale + self.offset[column : column + width]
            column += width
        return folded


class _Run:
    """The state of one training."""

    def __init__(self, graph: LayerGraph, heads: Sequence[Head], train: Split, settings: TrainingSettings) -> None:
        self._graph = graph
        self._heads = heads
        self._settings = settings
        self._scale = _TargetScale.of(graph, heads, train.y)
        self._x, self._y = _tensors(graph, train)
        self._y = self._standardised(self._y)
        self._net = TorchNet(graph, initial_weights(graph, settings.seed))
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._optimizer = torch.optim.Adam(self._net.parameters, lr=settings.learning_rate, fused=True)

    def fit(self, valid: tuple[Tensor, Tensor], on_epoch: EpochCallback | None) -> TrainedModel:
        valid = (valid[0], self._standardised(valid[1]))
        losses: list[float] = []
        best = 0
        weights: Weights = {}
        for epoch in range(1, self._settings.epochs + 1):
            self._epoch(epoch)
            losses.append(self._validate(*valid, epoch))
            if not best or losses[-1] < losses[best - 1]:
                best, weights = epoch, self._net.weights()
            if on_epoch is not None and on_epoch(epoch, losses[-1]):
                break
            if self._settings.patience is not None and epoch - best >= self._settings.patience:
                break
        return TrainedModel(self._scale.fold(self._graph, self._heads, weights), tuple(losses), best)

    def _standardised(self, y: Tensor) -> Tensor:
        columns = [torch.full((_target_width(head),), head.loss == "mse") for head in self._heads]
        scaled = (y - torch.from_numpy(self._scale.offset)) / self._scale.scale
        return torch.where(torch.cat(columns), scaled, y)

    def _epoch(self, epoch: int) -> None:
        total = torch.zeros(())
        order = torch.randperm(len(self._x), generator=self._generator)
        for index in order.split(self._settings.batch_size):
            if len(index) == 1:
                continue  # batch statistics of a single window say nothing
            self._optimizer.zero_grad(set_to_none=True)
            outputs = self._net.forward(self._x[index], dropout_generator=self._generator)
            loss = self._loss(outputs, self._y[index])
            loss.backward()
            self._optimizer.step()
            total += loss.detach()
        self._require_finite(float(total), "training", epoch)

    def _validate(self, x: Tensor, y: Tensor, epoch: int) -> float:
        total = 0.0
        with torch.no_grad():
            for part, target in zip(x.split(1024), y.split(1024), strict=True):
                total += float(self._loss(self._net.forward(part), target)) * len(part)
        loss = total / len(x)
        self._require_finite(loss, "validation", epoch)
        return loss

    def _loss(self, outputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
        """Sum of the heads' losses, in physical units."""
        losses = []
        column = 0
        for head, output in zip(self._heads, outputs, strict=True):
            target = y[:, column : column + _target_width(head)]
            column += _target_width(head)
            if head.loss == "mse":
                losses.append(functional.mse_loss(output, target) * self._scale.scale**2)
            else:
                losses.append(functional.cross_entropy(output, target[:, 0].long()))
        return torch.stack(losses).sum()

    def _require_finite(self, loss: float, name: str, epoch: int) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"the {name} loss is {loss} in epoch {epoch}",
                hint="check the data for values that are not finite, or lower the learning rate",
            )
