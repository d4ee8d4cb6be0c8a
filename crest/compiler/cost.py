"""What a kernel call costs, as far as the compiler must know: to choose between kernels of the same layer.

The table of a core, ``emulation/kernels/<core>.yaml``, gives cycles for each unit of the work that a kernel call names,
measured with memories that never make the core wait. It ranks kernels; a price comes from running the program.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from pydantic import Field

from crest.assets import asset_path
from crest.compiler.kernel_call import KernelCall
from crest.errors import AssetError
from crest.frozen import Frozen
from crest.targets import CoreName
from crest.yaml_io import load_yaml, validate

Cost = Callable[[KernelCall], float]


class KernelCosts(Frozen):
    """Cycles by kernel and kind of work, and where they come from."""

    core: CoreName
    source: str = Field(min_length=1)
    residual: str = Field(min_length=1)
    cycles: dict[str, dict[str, float]]

    def cost(self, call: KernelCall) -> float:
        """Cycles of a call.

        Raises:
            AssetError: the table lacks the kernel, or a kind of its work.
        """
        try:
            return sum(count * self.cycles[call.function][name] for name, count in call.work.items())
        except KeyError as exc:
            raise AssetError(f"the kernel costs of {self.core} lack {exc.args[0]!r} for {call.function}") from None


@cache
def core_cost(core: CoreName) -> Cost:
    """The cost function of a core.

    Raises:
        AssetError: its table is absent or malformed.
    """
    path = asset_path("emulation", "kernels", f"{core}.yaml")
    return validate(load_yaml(path, AssetError), KernelCosts, str(path), AssetError).cost
