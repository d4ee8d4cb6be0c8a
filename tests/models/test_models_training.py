"""Training: it learns, repeats itself to the bit, returns physical units and refuses nonsense."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from crest.errors import ModelError, TrainingError
from crest.models.layers import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalPool,
    GraphBuilder,
    Input,
    LayerGraph,
)
from crest.models.weights import initial_weights
from crest.workloads.base import Head, Split

torch = pytest.importorskip("torch")

from crest.models.torch_net import TorchNet, predict  # noqa: E402
from crest.models.training import TrainingSettings, train  # noqa: E402

POSITION = (Head("x", 1, "mse"), Head("y", 1, "mse"))
KIND = Head("kind", 3, "cross_entropy")


def graph_for(heads: tuple[Head, ...], dropout: float = 0.0) -> LayerGraph:
    builder = GraphBuilder()
    x = builder.add("window", Input(shape=(1, 12, 3)))
    x = builder.add("conv", Conv2D(filters=8, kernel=(1, 3), padding=(0, 0, 2, 0), use_bias=False), x)
    x = builder.add("relu", Activation(), builder.add("norm", BatchNorm(), x))
    if dropout:
        x = builder.add("dropout", Dropout(rate=dropout, spatial=True), x)
    x = builder.add("depthwise", DepthwiseConv2D(kernel=(1, 2), depth_multiplier=2), x)
    x = builder.add("pool", GlobalPool(function="avg"), x)
    return builder.build(tuple(builder.add(f"head_{head.name}", Dense(units=head.units), x) for head in heads))


def windows(count: int, seed: int, *, kind: bool = False) -> Split:
    """Targets far from zero and of unequal spread: x about 120 +- 20, y about -3 +- 2."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 12, 3)).astype(np.float32)
    means = x.mean(axis=1)
    columns = [120 + 70 * means[:, 0], -3 + 7 * np.abs(means[:, 1])]
    if kind:
        columns.append(np.digitize(means[:, 2], [-0.12, 0.12]).astype(np.float32))
    origin = np.zeros(count, dtype=np.int32)
    return Split(x, np.stack(columns, axis=1).astype(np.float32), origin, origin)


def settings(**changes: float) -> TrainingSettings:
    return TrainingSettings(**({"epochs": 8, "batch_size": 32, "learning_rate": 0.02, "seed": 5} | changes))


def test_it_learns_and_the_network_returns_physical_units() -> None:
    data, valid = windows(600, 0), windows(200, 1)
    graph = graph_for(POSITION)
    model = train(graph, POSITION, data, valid, settings(epochs=15))
    variance = float(valid.y.var(axis=0).sum())
    assert len(model.validation_loss) == 15
    assert min(model.validation_loss) < 0.1 * variance
    assert model.validation_loss[model.best_epoch - 1] == min(model.validation_loss)
    error = ((predict(graph, model.weights, valid.x) - valid.y) ** 2).mean(axis=0).sum()
    assert error == pytest.approx(min(model.validation_loss), rel=1e-3)


def test_the_first_epoch_is_no_worse_than_predicting_the_mean() -> None:
    data, valid = windows(300, 0), windows(200, 1)
    model = train(graph_for(POSITION), POSITION, data, valid, settings(epochs=1, learning_rate=1e-4))
    assert model.validation_loss[0] < 1.02 * ((valid.y - data.y.mean(axis=0)) ** 2).mean(axis=0).sum()


def test_equal_seeds_give_equal_bits_whatever_ran_before() -> None:
    graph, data, valid = graph_for(POSITION, dropout=0.3), windows(150, 0), windows(50, 1)
    first = train(graph, POSITION, data, valid, settings(epochs=3))
    torch.manual_seed(99)
    torch.rand(7)
    again = train(graph, POSITION, data, valid, settings(epochs=3))
    other = train(graph, POSITION, data, valid, settings(epochs=3, seed=6))
    assert first.validation_loss == again.validation_loss != other.validation_loss
    assert all(np.array_equal(first.weights[name], again.weights[name]) for name in first.weights)


def test_global_state_of_torch_is_left_alone() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    train(graph_for(POSITION), POSITION, windows(40, 0), windows(10, 1), settings(epochs=1, threads=2))
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), state)


def test_classes_and_positions_together() -> None:
    heads = (*POSITION, KIND)
    graph, valid = graph_for(heads), windows(300, 1, kind=True)
    model = train(graph, heads, windows(900, 0, kind=True), valid, settings(epochs=25))
    predicted = predict(graph, model.weights, valid.x)
    assert predicted.shape == (300, 5)
    assert (predicted[:, 2:].argmax(axis=1) == valid.y[:, 2]).mean() > 0.6
    assert ((predicted[:, :2] - valid.y[:, :2]) ** 2).mean(axis=0).sum() < 0.3 * valid.y[:, :2].var(axis=0).sum()


def test_the_weights_are_those_of_the_best_epoch() -> None:
    """A learning rate this high makes the loss rise again; training on less gives the same best weights."""
    graph, data, valid = graph_for(POSITION), windows(100, 0), windows(100, 1)
    model = train(graph, POSITION, data, valid, settings(epochs=12, learning_rate=0.3))
    assert model.best_epoch < 12
    shorter = train(graph, POSITION, data, valid, settings(epochs=model.best_epoch, learning_rate=0.3))
    assert all(np.array_equal(model.weights[name], shorter.weights[name]) for name in model.weights)


def test_callback_and_patience_end_training() -> None:
    graph, data, valid = graph_for(POSITION), windows(100, 0), windows(50, 1)
    seen: list[tuple[int, float]] = []

    def stop_after_two(epoch: int, loss: float) -> bool:
        seen.append((epoch, loss))
        return epoch == 2

    model = train(graph, POSITION, data, valid, settings(), on_epoch=stop_after_two)
    assert [epoch for epoch, _ in seen] == [1, 2]
    assert tuple(loss for _, loss in seen) == model.validation_loss
    impatient = train(graph, POSITION, data, valid, settings(epochs=60, learning_rate=0.3, patience=2))
    assert len(impatient.validation_loss) == impatient.best_epoch + 2 < 60


def test_last_batch_of_one_window_and_constant_targets() -> None:
    data = windows(33, 0)
    data.y[:] = 4.0
    model = train(graph_for(POSITION), POSITION, data, windows(1, 1), settings(epochs=1))
    assert np.isfinite(model.validation_loss).all()
    flat = predict(graph_for(POSITION), initial_weights(graph_for(POSITION), 0), np.zeros((0, 12, 3), dtype=np.float32))
    assert flat.shape == (0, 2)


def with_y(split: Split, y: np.ndarray) -> Split:
    return dataclasses.replace(split, y=y.astype(np.float32))


def test_nonsense_is_refused() -> None:
    graph, data, valid = graph_for(POSITION), windows(40, 0), windows(10, 1)
    kinds = graph_for((KIND,))
    with pytest.raises(TrainingError, match="targets have shape"):
        train(graph, POSITION, with_y(data, data.y[:, :1]), valid, settings())
    with pytest.raises(TrainingError, match="the heads want"):
        train(graph, POSITION[:1], data, valid, settings())
    for wrong in (0.5, 3.0, -1.0):
        with pytest.raises(TrainingError, match="valid targets of head 'kind'"):
            train(kinds, (KIND,), with_y(data, np.zeros((40, 1))), with_y(valid, np.full((10, 1), wrong)), settings())
    with pytest.raises(TrainingError, match="1 to learn from"):
        train(graph, POSITION, windows(1, 0), valid, settings())
    with pytest.raises(ModelError, match="do not fit"):
        train(graph, POSITION, dataclasses.replace(data, x=data.x[:, :11]), valid, settings())


@pytest.mark.parametrize(("which", "word"), [("train", "training"), ("valid", "validation")])
def test_a_loss_that_is_not_finite_is_an_error(which: str, word: str) -> None:
    splits = {"train": windows(40, 0), "valid": windows(10, 1)}
    splits[which].x[3] = np.nan
    with pytest.raises(TrainingError, match=f"the {word} loss is nan in epoch 1"):
        train(graph_for(POSITION), POSITION, splits["train"], splits["valid"], settings())


def test_dropout_has_its_rate_and_drops_whole_channels() -> None:
    builder = GraphBuilder()
    x = builder.add("window", Input(shape=(1, 5, 400)))
    graph = builder.build((builder.add("dropout", Dropout(rate=0.3, spatial=True), x),))
    net = TorchNet(graph, {})
    (y,) = net.forward(torch.ones(50, 1, 5, 400), dropout_generator=torch.Generator().manual_seed(0))
    assert float((y == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(y.mean()) == pytest.approx(1.0, abs=0.02)
    assert torch.equal(y, y[:, :, :1].expand_as(y))
    (kept,) = net.forward(torch.ones(2, 1, 5, 400))
    assert torch.equal(kept, torch.ones(2, 1, 5, 400))


def test_weights_survive_the_way_through_torch() -> None:
    graph = graph_for((*POSITION, KIND))
    weights = initial_weights(graph, 3)
    back = TorchNet(graph, weights).weights()
    assert list(back) == list(weights)
    assert all(np.array_equal(back[name], weights[name]) for name in weights)


def test_running_statistics_forget_their_start_at_once() -> None:
    builder = GraphBuilder()
    x = builder.add("window", Input(shape=(1, 500, 1)))
    graph = builder.build((builder.add("norm", BatchNorm(), x),))
    net = TorchNet(graph, initial_weights(graph, 0))
    rng, draw = np.random.default_rng(0), torch.Generator().manual_seed(0)
    for level in (40.0, 60.0):
        batch = torch.tensor(rng.normal(level, 10, (20, 1, 500, 1)), dtype=torch.float32)
        net.forward(batch, dropout_generator=draw)
    weights = net.weights()
    assert weights["norm.mean"][0] == pytest.approx(50, abs=0.5)
    assert weights["norm.variance"][0] == pytest.approx(100, rel=0.05)
