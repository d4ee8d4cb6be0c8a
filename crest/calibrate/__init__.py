"""Probes -> coefficients -> energy_models/."""
