"""The whole suite on a bench: every probe, sleep state and network at every clock, measured one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from crest.backends.base import Backend
from crest.calibrate.bench import Bench
from crest.calibrate.networks import sampled_networks
from crest.calibrate.probes import INSTRUCTIONS, probe_suite, run_probes
from crest.calibrate.rows import PowerRow, ProbeRun
from crest.calibrate.sleep_probes import run_sleep_probes, sleep_probe
from crest.compiler.toolchain import ZIG, CompilerChoice
from crest.targets import Target

NETWORKS: Final = 12
"""From nine on, leaving each out once gives an interval of 90 %."""


class SuiteOptions(NamedTuple):
    """How much is run.

    Attributes:
        clocks_mhz: of the target.
        networks: sampled, the same at each clock.
        seed: of the networks.
        instructions: of one repetition of a probe, about.
        compiler: which compiler, with which flags.
    """

    clocks_mhz: Sequence[float]
    networks: int = NETWORKS
    seed: int = 0
    instructions: int = INSTRUCTIONS
    compiler: CompilerChoice = ZIG


class SuiteRuns(NamedTuple):
    """What was run, and by state and clock why a sleep state was not."""

    runs: list[ProbeRun]
    left_out: dict[str, str]


def run_suite(target: Target, backend: Backend, options: SuiteOptions, tell: Callable[[str], None]) -> SuiteRuns:
    """Build and run the suite; ``tell`` hears what is done next.

    Raises:
        StudyError: no such clock, or a number that makes no sense.
        CapacityError: the target has no room.
        ToolchainError: the compiler is not installed, or failed.
        EmulationError: the firmware faulted.
        BackendError: the session broke, or an output is wrong.
    """
    found = SuiteRuns([], {})
    for clock_mhz in options.clocks_mhz:
        where = f"{target.name} at {clock_mhz:g} MHz"
        tell(f"{where}: probes")
        programs = probe_suite(target, clock_mhz, options.compiler, options.instructions)
        found.runs.extend(run_probes(backend, programs))
        tell(f"{where}: sleep")
        sleeping = run_sleep_probes(backend, sleep_probe(target, clock_mhz, options.compiler))
        found.runs.extend(sleeping.rows)
        found.left_out.update({f"{name} at {clock_mhz:g} MHz": reason for name, reason in sleeping.left_out.items()})
        tell(f"{where}: {options.networks} networks")
        networks = sampled_networks(target, options.networks, options.seed, clock_mhz, options.compiler)
        found.runs.extend(run_probes(backend, networks))
    return found


def measure_suite(runs: Sequence[ProbeRun], bench: Bench, tell: Callable[[str], None]) -> list[PowerRow]:
    """Measure every run.

    Raises:
        MeterError: the meter is gone, or has seen nothing.
    """
    rows = []
    for number, run in enumerate(runs, 1):
        tell(f"measuring {run.name} at {run.clock_mhz:g} MHz, {number} of {len(runs)}")
        rows.append(bench.measure(run))
    return rows
