"""Where the parts of a model lie: as the target keeps code and data, in a region, or as the compiler chooses."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from crest.frozen import Frozen

AUTO: Final = "auto"
PARTS: Final = ("code", "weights", "arena")


class Placement(Frozen):
    """A memory region of the target for each part of a model, by name.

    None leaves a part where the target keeps its kind: code and weights in ``code_region``, the arena in
    ``data_region``. ``auto`` moves it to the regions that the target prefers for it, as far as they have room.
    """

    code: str | None = Field(default=None, description="region of the kernels and of model_run, or auto")
    weights: str | None = Field(default=None, description="region of the layers' constants, or auto")
    arena: str | None = Field(default=None, description="region of the activations, or auto")
    ram_budget_bytes: int | None = Field(
        default=None, ge=0, description="most RAM of the model that auto may arrive at; by default what the board has"
    )

    @property
    def has_auto(self) -> bool:
        """Whether the compiler chooses anything."""
        return AUTO in (self.code, self.weights, self.arena)


AS_TARGET: Final = Placement()


def uniform(word: str) -> Placement:
    """The same for every part."""
    return Placement(code=word, weights=word, arena=word)
