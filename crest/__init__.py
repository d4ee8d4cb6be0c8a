"""Finds the neural network that a microcontroller can really live with."""
