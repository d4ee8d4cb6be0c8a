"""Asks for a candidate, prices it, trains it, scores it, writes it down."""
