"""Runs a program on a target: one host session over every transport."""
