"""TFLite Micro as the runtime: the same measuring firmware around its interpreter.

It is built from a source tree of the user's; nothing of TFLite Micro is part of CREST. What comes out is a ``Program``
like any other.
"""

from __future__ import annotations

from crest.compiler.tflm.build import TflmRuntime, open_tflm

__all__ = ["TflmRuntime", "open_tflm"]
