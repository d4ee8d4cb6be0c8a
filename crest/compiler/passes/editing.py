"""A graph that a pass takes apart and puts together again."""

from __future__ import annotations

from dataclasses import replace

from crest.compiler.graph import Graph, Operator, Tensor


class Editor:
    """Tensors that can be changed or added by index, and operators appended in their new order."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.tensors: list[Tensor] = list(graph.tensors)
        self.operators: list[Operator] = []

    def add(self, tensor: Tensor) -> int:
        """Append a tensor; returns its index."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def graph(self) -> Graph:
        """The edited graph; inputs and outputs are those of the original."""
        return replace(self._graph, tensors=tuple(self.tensors), operators=tuple(self.operators))
