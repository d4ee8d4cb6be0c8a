"""The reduced TCN against the full dilated causal network, written down a second time with plain torch."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from crest.errors import ModelError
from crest.models.layers import Conv2D, Dropout, LayerGraph, MaxPool2D, Slice
from crest.models.proxies import count_macs
from crest.models.tcn import TCN, plan_blocks
from crest.models.weights import weight_shapes
from crest.workloads.base import Head

torch = pytest.importorskip("torch")
functional = torch.nn.functional
HEADS = (Head("x", 1, "mse"), Head("y", 2, "mse"))


def candidate(**changes: Any) -> dict[str, Any]:
    return {
        "nb_filters": 6,
        "kernel_size": 3,
        "dropout": 0.0,
        "use_skip_connections": True,
        "batch_norm": True,
        "dilations": (1, 2, 4),
    } | changes


def full_weights(config: dict[str, Any], channels: int, rng: np.random.Generator) -> dict[str, Any]:
    """Float64 tensors of the full network in torch's layouts, every kernel with all of its taps."""

    def tensor(*shape: int) -> Any:
        return torch.tensor(rng.normal(0, 1 / np.sqrt(np.prod(shape[1:]) or 1), shape))

    filters, width = config["nb_filters"], channels
    weights: dict[str, Any] = {}
    for block in range(len(config["dilations"])):
        for letter in "ab":
            name = f"block{block}_conv_{letter}"
            weights[f"{name}.kernel"] = tensor(filters, width, config["kernel_size"])
            weights[f"{name}.bias"] = tensor(filters)
            width = filters
            norm = f"block{block}_norm_{letter}"
            for part in ("gamma", "beta", "mean"):
                weights[f"{norm}.{part}"] = tensor(filters)
            weights[f"{norm}.variance"] = tensor(filters).abs() + 0.1
        source = channels if block == 0 else filters
        weights[f"block{block}_match.kernel"] = tensor(filters, source, 1)
        weights[f"block{block}_match.bias"] = tensor(filters)
    for name, shape in (("hidden", (32, filters // 2)), ("head_x", (1, 32)), ("head_y", (2, 32))):
        weights[f"{name}.kernel"], weights[f"{name}.bias"] = tensor(*shape), tensor(shape[0])
    return weights


def full_network(config: dict[str, Any], weights: dict[str, Any], x: Any) -> Any:
    """Every time step of every layer, (n, steps, channels) in; keras-tcn's skips are the blocks' convolutions."""
    x = x.transpose(1, 2)
    skips = []
    for block, dilation in enumerate(config["dilations"]):
        y = x
        for letter in "ab":
            name = f"block{block}_conv_{letter}"
            y = functional.pad(y, ((config["kernel_size"] - 1) * dilation, 0))
            bias = None if config["batch_norm"] else weights[f"{name}.bias"]
            y = functional.conv1d(y, weights[f"{name}.kernel"], bias, dilation=dilation)
            if config["batch_norm"]:
                norm = {
                    p: weights[f"block{block}_norm_{letter}.{p}"][:, None]
                    for p in ("gamma", "beta", "mean", "variance")
                }
                y = (y - norm["mean"]) / torch.sqrt(norm["variance"] + 1e-3) * norm["gamma"] + norm["beta"]
            y = y.clamp(min=0)
        skips.append(y)
        if x.shape[1] != y.shape[1]:
            x = functional.conv1d(x, weights[f"block{block}_match.kernel"], weights[f"block{block}_match.bias"])
        x = (x + y).clamp(min=0)
    last = (sum(skips) if config["use_skip_connections"] else x)[:, :, -1]
    pairs = last[:, : last.shape[1] // 2 * 2].reshape(len(last), -1, 2).amax(dim=2)
    hidden = pairs @ weights["hidden.kernel"].T + weights["hidden.bias"]
    return torch.cat([hidden @ weights[f"head_{h}.kernel"].T + weights[f"head_{h}.bias"] for h in "xy"], dim=1)


def reduced_weights(graph: LayerGraph, weights: dict[str, Any]) -> dict[str, Any]:
    """The full network's weights in the graph's layouts: of each kernel the last taps, those nearest to the present."""
    result = {}
    for name, shape in weight_shapes(graph).items():
        value = weights[name].numpy()
        if name.endswith("kernel"):
            value = value.T if value.ndim == 2 else value.transpose(2, 1, 0)[None, value.shape[2] - shape[1] :]
        result[name] = value
    return result


def random_case(seed: int) -> tuple[dict[str, Any], int, int]:
    rng = np.random.default_rng(seed)
    config = {name: axis.sample(rng) for name, axis in TCN().space.items()}
    config["nb_filters"] = int(rng.integers(2, 14))
    steps = int(rng.choice([200, 200, 1, 2, 7, 33, 64, 131, 257]))
    return config, steps, int(rng.choice([1, 3, config["nb_filters"]]))


FIXED = [
    (candidate(dilations=(4, 16, 256), kernel_size=15, nb_filters=7), 200, 10),
    (candidate(dilations=(8, 32, 64), use_skip_connections=False, batch_norm=False), 200, 6),
    (candidate(dilations=(1, 2, 4, 8, 16, 32, 64, 128), use_skip_connections=False, kernel_size=2), 200, 10),
    (candidate(dilations=(2, 4, 8), kernel_size=2), 16, 6),
    (candidate(dilations=(1, 2, 4), kernel_size=15), 5, 6),
]


@pytest.mark.parametrize("case", [*FIXED, *range(35)], ids=lambda case: str(case) if isinstance(case, int) else "fixed")
def test_reduced_network_equals_the_full_one(case: Any) -> None:
    from crest.models.torch_net import TorchNet, concatenated

    config, steps, channels = random_case(case) if isinstance(case, int) else case
    rng = np.random.default_rng(7)
    weights = full_weights(config, channels, rng)
    graph = TCN().build(config, (steps, channels), HEADS)
    x = torch.tensor(rng.normal(size=(3, steps, channels)))
    net = TorchNet(graph, reduced_weights(graph, weights), dtype=torch.float64)
    reduced = concatenated(net.forward(x[:, None])).detach()
    full = full_network(config, weights, x)
    assert reduced.shape == (3, 3)
    assert float(full.std()) > 0
    torch.testing.assert_close(reduced, full, rtol=1e-10, atol=1e-10)


def demanded_positions(config: dict[str, Any], steps: int, *, close_gaps: bool) -> tuple[list[tuple[int, int]], int]:
    """Positions needed of each block's two convolutions, and of the window, by brute force on sets of positions.

    ``close_gaps`` adds the positions of the block's grid that lie between needed ones.
    """
    taps = range(config["kernel_size"])

    def needed(positions: set[int], dilation: int) -> set[int]:
        reached = {p - k * dilation for p in positions for k in taps if p >= k * dilation}
        return reached | set(range(steps - 1, min(reached) - 1, -dilation)) if close_gaps else reached

    wanted = {steps - 1}
    counts = []
    for dilation in reversed(config["dilations"]):
        middle = needed(wanted, dilation)
        counts.append((len(middle), len(wanted)))
        wanted |= needed(middle, dilation)
    return counts[::-1], len(wanted)


@pytest.mark.parametrize("seed", range(30))
def test_only_demanded_time_steps_are_computed(seed: int) -> None:
    config, steps, channels = random_case(seed)
    dilations = config["dilations"]
    graph = TCN().build(config, (steps, channels), HEADS)
    blocks = range(len(dilations))
    computed = [tuple(graph.shapes[f"block{i}_conv_{letter}"][1] for letter in "ab") for i in blocks]
    found = (computed, graph.shapes.get("window_grid", graph.input_shape)[1])
    assert found == demanded_positions(config, steps, close_gaps=True)
    if config["kernel_size"] >= max(behind // here for here, behind in pairwise(dilations)):
        assert found == demanded_positions(config, steps, close_gaps=False)


def names(graph: LayerGraph) -> set[str]:
    return {node.name for node in graph.nodes}


def test_the_last_blocks_residual_is_dead_with_skip_connections() -> None:
    with_skips = TCN().build(candidate(nb_filters=8), (200, 10), HEADS)
    without = TCN().build(candidate(nb_filters=8, use_skip_connections=False), (200, 10), HEADS)
    assert not names(with_skips) & {"block2_add", "block2_relu", "block2_shortcut"}
    assert {"block2_add", "block2_relu"} <= names(without)
    assert "skip_sum2" in names(with_skips) and "skip_sum1" not in names(without)
    assert "block0_match" in names(without) and "block1_match" not in names(without)


def test_nothing_is_dilated_and_padding_is_only_before_the_start() -> None:
    graph = TCN().build(candidate(dilations=(1, 4, 64), kernel_size=9), (200, 10), HEADS)
    convolutions = [node.layer for node in graph.nodes if isinstance(node.layer, Conv2D)]
    assert all(layer.padding[0] == layer.padding[1] == layer.padding[3] == 0 for layer in convolutions)
    assert {layer.strides for layer in convolutions} == {(1, 1), (1, 4), (1, 16)}
    # Three positions lie on the coarsest grid of 64 samples in a window of 199: kernels of 9 taps keep 4.
    assert {layer.kernel[1] for layer in convolutions} == {1, 4, 9}


def test_the_window_is_cropped_and_decimated_first() -> None:
    graph = TCN().build(candidate(dilations=(4, 8, 16), kernel_size=2), (200, 10), HEADS)
    first = graph.nodes[1].layer
    # Receptive field: 2 * (4 + 8 + 16) samples before the last one, every fourth.
    assert first == Slice(axis=1, begin=199 - 56, stride=4, length=15)
    assert count_macs(graph) < 20_000


def test_heads_and_pooling() -> None:
    graph = TCN().build(candidate(nb_filters=7, dropout=0.2), (200, 10), HEADS)
    assert graph.outputs == ("head_x", "head_y")
    assert graph.output_shapes == ((1,), (2,))
    assert graph.shapes["features"] == (3,)
    assert [n.layer for n in graph.nodes if isinstance(n.layer, MaxPool2D)] == [MaxPool2D(pool=(1, 2), strides=(1, 2))]
    dropouts = [n.layer for n in graph.nodes if isinstance(n.layer, Dropout)]
    assert dropouts == [Dropout(rate=0.2, spatial=True)] * 6


@pytest.mark.parametrize(
    ("config", "shape", "heads", "fragment"),
    [
        (candidate(nb_filters=64), (200, 10), HEADS, "nb_filters = 64"),
        (candidate(dilations=(1, 2)), (200, 10), HEADS, "dilations"),
        (candidate(dilations=(1, 3, 4)), (200, 10), HEADS, "dilations"),
        (candidate(), (200,), HEADS, "time steps, channels"),
        (candidate(), (0, 10), HEADS, "time steps, channels"),
        (candidate(), (200, 10), (), "at least one head"),
        (candidate(), (200, 10), (HEADS[0], HEADS[0]), "two layers are named"),
    ],
)
def test_bad_candidates(config: dict[str, Any], shape: tuple[int, ...], heads: tuple, fragment: str) -> None:
    with pytest.raises(ModelError, match=fragment):
        TCN().build(config, shape, heads)


def test_grids_that_do_not_nest_are_refused() -> None:
    with pytest.raises(ModelError, match="4 does not divide 6"):
        plan_blocks(200, 3, (2, 4, 6))
