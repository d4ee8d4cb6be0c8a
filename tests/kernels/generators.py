"""All generators of layers: importing this registers them."""

from tests.kernels import averaging_layers, elementwise_layers, int16_layers, moving_layers, weighted_layers

__all__ = ["averaging_layers", "elementwise_layers", "int16_layers", "moving_layers", "weighted_layers"]
