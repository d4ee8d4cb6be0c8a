"""Bringing up a board of the user's: a first target file with its firmware folder, and a check of the two."""

from crest.bringup.lint import Finding, lint_target
from crest.bringup.scaffold import scaffold_target

__all__ = ["Finding", "lint_target", "scaffold_target"]
