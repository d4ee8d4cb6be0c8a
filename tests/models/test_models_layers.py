"""Layer graphs: shapes, checks, serialisation."""

from __future__ import annotations

import numpy as np
import pytest

from crest.errors import ModelError
from crest.models.layers import (
    Activation,
    Add,
    AveragePool2D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    GlobalPool,
    GraphBuilder,
    Input,
    LayerGraph,
    MaxPool2D,
    Node,
    Reshape,
    Slice,
    same_padding,
)


def small_graph(units: int = 3) -> LayerGraph:
    builder = GraphBuilder()
    x = builder.add("window", Input(shape=(9, 8, 2)))
    x = builder.add("conv", Conv2D(filters=4, kernel=(3, 2), strides=(2, 1), padding=(1, 0, 0, 3)), x)
    x = builder.add("relu", Activation(), x)
    x = builder.add("pool", GlobalPool(function="avg"), x)
    return builder.build((builder.add("head", Dense(units=units), x),))


def test_shapes_follow_the_layers() -> None:
    graph = small_graph()
    # height (9 + 1 - 3) // 2 + 1, width (8 + 3 - 2) + 1
    assert graph.shapes == {"window": (9, 8, 2), "conv": (4, 10, 4), "relu": (4, 10, 4), "pool": (4,), "head": (3,)}
    assert graph.input_shape == (9, 8, 2)
    assert graph.output_shapes == ((3,),)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (DepthwiseConv2D(depth_multiplier=3, kernel=(3, 3), strides=(1, 2)), (7, 3, 6)),
        (MaxPool2D(pool=(2, 3), strides=(2, 3)), (4, 2, 2)),
        (AveragePool2D(pool=(9, 1), strides=(1, 1)), (1, 8, 2)),
        (Slice(axis=0, begin=1, stride=4, length=2), (2, 8, 2)),
        (Slice(axis=1, begin=7, length=1), (9, 1, 2)),
        (Slice(axis=2, begin=0, stride=5, length=1), (9, 8, 1)),
        (Reshape(shape=(144,)), (144,)),
        (Reshape(shape=(2, 9, 8)), (2, 9, 8)),
    ],
)
def test_shape_of_each_kind(layer: object, shape: tuple[int, ...]) -> None:
    assert layer.output_shape(((9, 8, 2),)) == shape  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [7, 8, 49])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("taps", [1, 3, 4])
def test_same_padding_gives_ceil_size_over_stride(size: int, stride: int, taps: int) -> None:
    padding = same_padding((size, 5, 1), (taps, 3), (stride, 1))
    conv = Conv2D(filters=1, kernel=(taps, 3), strides=(stride, 1), padding=padding)
    assert conv.output_shape(((size, 5, 1),)) == (-(-size // stride), 5, 1)
    assert 0 <= padding[1] - padding[0] <= 1


@pytest.mark.parametrize(
    ("layer", "fragment"),
    [
        (Conv2D(filters=1, kernel=(10, 1)), "does not fit"),
        (MaxPool2D(pool=(1, 9), strides=(1, 1)), "does not fit"),
        (Slice(axis=1, begin=4, stride=2, length=3), "leaves axis 1"),
        (Reshape(shape=(143,)), "cannot reshape"),
        (Reshape(shape=(12, 12)), "must become"),
        (Dense(units=2), "expects a vector"),
        (Add(), "takes 2 input"),
    ],
)
def test_a_layer_that_does_not_fit_is_named(layer: object, fragment: str) -> None:
    builder = GraphBuilder()
    x = builder.add("window", Input(shape=(9, 8, 2)))
    with pytest.raises(ModelError, match=fragment) as caught:
        builder.add("culprit", layer, x)  # type: ignore[arg-type]
    assert "'culprit'" in caught.value.message


def nodes(*triples: tuple[str, object, tuple[str, ...]]) -> tuple[Node, ...]:
    return tuple(Node(name=name, layer=layer, inputs=inputs) for name, layer, inputs in triples)  # type: ignore[arg-type]


WINDOW = ("window", Input(shape=(4,)), ())
HEAD = ("head", Dense(units=2), ("window",))


@pytest.mark.parametrize(
    ("triples", "outputs", "fragment"),
    [
        ((WINDOW, HEAD, ("spare", Dense(units=1), ("window",))), ("head",), "'spare' reaches no output"),
        ((WINDOW, HEAD, ("head", Dense(units=1), ("window",))), ("head",), "two layers are named 'head'"),
        ((HEAD, WINDOW), ("head",), "not defined before"),
        ((WINDOW, HEAD), ("tail",), "output 'tail'"),
        ((WINDOW, HEAD), ("head", "head"), "two outputs"),
        ((WINDOW, ("other", Input(shape=(2,)), ()), HEAD), ("head", "other"), "exactly one input"),
        ((("window", Input(shape=(4, 4)), ()),), ("window",), "vector or"),
        ((WINDOW, ("w", Dense(units=3), ("window",)), ("s", Add(), ("window", "w"))), ("s",), "cannot add"),
    ],
)
def test_graphs_that_make_no_sense(triples: tuple, outputs: tuple[str, ...], fragment: str) -> None:
    with pytest.raises(ModelError, match=fragment):
        LayerGraph(nodes=nodes(*triples), outputs=outputs)


def test_equal_graphs_have_one_text_and_one_hash() -> None:
    graph = small_graph()
    again = LayerGraph.from_json(graph.canonical_json())
    assert again == graph
    assert hash(again) == hash(graph)
    assert again.canonical_json() == graph.canonical_json()
    assert again.fingerprint() == graph.fingerprint() != small_graph(units=4).fingerprint()


@pytest.mark.parametrize("text", ["{", "[]", '{"nodes": [], "outputs": []}', '{"nodes": 3}'])
def test_text_that_is_no_graph(text: str) -> None:
    with pytest.raises(ModelError, match="stored graph"):
        LayerGraph.from_json(text, "stored graph")


def test_windows_are_reinterpreted_but_never_cut() -> None:
    graph = small_graph()
    x = np.arange(2 * 144, dtype=np.float64).reshape(2, 144)
    assert graph.batched(x).shape == (2, 9, 8, 2)
    assert graph.batched(x).dtype == np.float32
    with pytest.raises(ModelError, match="do not fit"):
        graph.batched(x[:, :143])
