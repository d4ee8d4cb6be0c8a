"""The one form of an energy model: power by state, energy and latency per wake-up, and the conditions they hold in.

::

    run_power  = current * volt * activity_factor * operator_factor       [uW = uA * V], or a power given as such
               + event_energies / latency                                 [uW = 1e-3 * pJ / ms]
    operator_factor = sum over operators of factor * share of the program's multiply-accumulates
    event_energies  = sum over counts of an execution profile of count * event_energy
    rest_power = current * volt                                           in sleep and deep_sleep
    energy per inference = run_power * latency                            [uJ = 1e-3 * uW * ms]
    energy per wake-up   = as declared                                    [uJ], from the event to the first instruction

Run power is tabulated by clock and by the memory that code is fetched from; it is not interpolated between clocks.
``activity_factor`` is what neural-network code draws over the loop that the datasheet current was taken with.
A model holds for one regulator, a range of supplies and one measuring boundary; nothing is extrapolated beyond them.

Two errors are told apart. ``candidate_error`` is what the model gets wrong about one program and not about the next, so
that it blurs a ranking. What is common shifts every program of a board alike, its set-up above all: ``power_error``
holds both together, or, where nothing was left out to find it, the intervals of the coefficients do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import reduce
from itertools import combinations
from operator import mul
from typing import Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from crest.errors import AssetError
from crest.frozen import Frozen
from crest.intervals import RelativeError, combine
from crest.measurement import Boundary, Estimate
from crest.schedule import PowerStates, SleepName, SleepState

CoefficientKind = Literal["datasheet", "published", "fit", "declared"]
_UW_PER_PJ_MS = 1e-3
# What nothing that is meant reaches: figures in another unit are found by it.
_MOST = 1e9
_MOST_VOLT = 6.0
_LEAST_RUN = 100.0
_SET_UPS = {
    "unknown": "a set-up that is not known; `crest calibrate` narrows it down to one",
    "calibrated": "the set-up that the model was calibrated on",
}


class Work(NamedTuple):
    """What a program does in one inference, as far as its power depends on that.

    ``counts`` are those of its execution profile, ``macs`` its multiply-accumulates by operator.
    """

    latency_ms: float
    counts: Mapping[str, int]
    macs: Mapping[str, int]


class Coefficient(Frozen):
    """One number of a model, where it comes from, and how far it can be trusted.

    ``kind``: a datasheet line, a published measurement, a fit to named data, or declared by judgement. ``reason``
    says why this value and this interval.
    """

    value: float = Field(ge=0, le=_MOST, allow_inf_nan=False)
    low: float = Field(ge=0, le=_MOST, allow_inf_nan=False)
    high: float = Field(ge=0, le=_MOST, allow_inf_nan=False)
    confidence: float = Field(gt=0, lt=1)
    kind: CoefficientKind
    source: str = Field(min_length=1)
    reason: str = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> Coefficient:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"value {self.value:g} lies outside of [{self.low:g}, {self.high:g}]")
        return self

    def estimate(self) -> Estimate:
        """This coefficient as an estimate in its own unit."""
        return Estimate(value=self.value, origin="estimated", low=self.low, high=self.high, confidence=self.confidence)


class Conditions(Frozen):
    """What the numbers hold for; None, with a reason, where a source does not say.

    ``volt`` is the supply, or the lowest and the highest one over which currents stay what they are: behind a linear
    regulator the core sees none of it.
    """

    volt: tuple[float, float] | None
    regulator: str | None
    temperature_c: float | None = Field(allow_inf_nan=False)
    reason: str | None = None

    @field_validator("volt", mode="before")
    @classmethod
    def _one_is_a_range(cls, volt: object) -> object:
        return (volt, volt) if isinstance(volt, int | float) else volt

    @model_validator(mode="after")
    def _sound(self) -> Conditions:
        if None in (self.volt, self.regulator, self.temperature_c) and not self.reason:
            raise ValueError("an unknown condition needs a reason")
        if self.volt is not None and not 0 < self.volt[0] <= self.volt[1] < _MOST_VOLT:
            raise ValueError(f"volt: {self.volt[0]:g} to {self.volt[1]:g} V is no supply of a microcontroller")
        return self

    def meet(self, other: Conditions) -> bool:
        """Whether both hold at some supply."""
        apart = self.volt and other.volt and (self.volt[1] < other.volt[0] or other.volt[1] < self.volt[0])
        return self.regulator == other.regulator and not apart

    def hold_at(self, volt: float, regulator: str) -> bool:
        """Whether a supply agrees; what the source leaves open does not contradict."""
        inside = self.volt is None or self.volt[0] <= volt <= self.volt[1]
        return inside and self.regulator in (None, regulator)

    @property
    def label(self) -> str:
        """Short text, for example ``3 V dcdc 25 C``."""
        volt = "supply not stated" if self.volt is None else "-".join(f"{v:g}" for v in sorted(set(self.volt))) + " V"
        regulator = "" if self.regulator is None else f" {self.regulator}"
        temperature = "" if self.temperature_c is None else f" {self.temperature_c:g} C"
        return volt + regulator + temperature


class RunState(Frozen):
    """Running at one clock, fetching from one memory region: a current, or a power where only that is known.

    Attributes:
        core_voltage: the range of the core's supply that the clock asks for, with which the figure was taken.
        cache: what stands between core and memories, with which it was taken.
        power_error: true / predicted power of a program that was not fitted; where given, it is the interval of the
            power, and those of the coefficients tell how far the fit itself moves.
    """

    clock_mhz: float = Field(gt=0)
    fetch_region: str
    core_voltage: str | None = None
    cache: str | None = None
    current_ua: Coefficient | None = None
    power_uw: Coefficient | None = None
    activity_factor: Coefficient | None = None
    power_error: RelativeError | None = None

    @model_validator(mode="after")
    def _one_quantity(self) -> RunState:
        given = self.current_ua or self.power_uw
        if given is None or (self.current_ua and self.power_uw):
            raise ValueError("a run state gives either current_ua or power_uw")
        if given.low <= 0:
            raise ValueError("running draws more than nothing")
        if given.value < _LEAST_RUN:
            raise ValueError(f"{given.value:g} is little for a running core: current_ua is in uA, power_uw in uW")
        return self

    @property
    def coefficients(self) -> tuple[Coefficient, ...]:
        """What the power of this state is made of."""
        return tuple(c for c in (self.current_ua, self.power_uw, self.activity_factor) if c is not None)


class Share(Frozen):
    """The range of a count's share of the executed instructions."""

    low: float = Field(ge=0, allow_inf_nan=False)
    high: float = Field(ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _ordered(self) -> Share:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} lies above high {self.high:g}")
        return self


class RestState(Frozen):
    """Waiting for the next release, and coming back from it; ``clock_mhz`` where it holds for one clock alone.

    A core whose clock runs on while it sleeps draws by that clock; one that must start its clock again pays for it.
    """

    clock_mhz: float | None = None
    current_ua: Coefficient
    wake_up_latency_us: Coefficient
    wake_up_energy_uj: Coefficient


class EnergyModel(Frozen):
    """Power by state of one target inside one measuring boundary.

    A rest state is given, or named in ``not_modelled`` with the reason; ``covers`` says what the boundary encloses.

    Attributes:
        operator_factors: power of a layer over that of the run state, by operator of the model; one where not named.
        event_energy_pj: energy of each occurrence of a count of the execution profile, beyond the run state's power.
        set_up: whether the set-up of the board (software beside the model, peripherals, the very board) is one that was
            measured (``calibrated``), or ``unknown``.
        candidate_error: true / predicted power of a program when others on its set-up are known; None where nothing
            tells it.
        sleep, deep_sleep: one state for every clock of ``run``, or one for each.
        domain: shares of the executed instructions in what was fitted, by count; what lies outside is flagged.
        data: what the coefficients were fitted on, by the licence of its source; None where nothing was.
        residual: how well they fit it.
    """

    target: str
    boundary: Boundary
    version: int = Field(ge=1)
    covers: str = Field(min_length=1)
    conditions: Conditions
    data: str | None = None
    residual: str | None = None
    run: tuple[RunState, ...] = Field(min_length=1)
    operator_factors: dict[str, Coefficient] = Field(default_factory=dict)
    event_energy_pj: dict[str, Coefficient] = Field(default_factory=dict)
    set_up: Literal["unknown", "calibrated"] = "unknown"
    candidate_error: RelativeError | None = None
    domain: dict[str, Share] = Field(default_factory=dict)
    sleep: tuple[RestState, ...] = ()
    deep_sleep: tuple[RestState, ...] = ()
    not_modelled: dict[SleepName, str] = Field(default_factory=dict)

    @field_validator("sleep", "deep_sleep", mode="before")
    @classmethod
    def _one_holds_at_every_clock(cls, rest: object) -> object:
        if rest is None:
            return ()
        return rest if isinstance(rest, list | tuple) else (rest,)

    @model_validator(mode="after")
    def _complete(self) -> EnergyModel:
        keys = [(state.clock_mhz, state.fetch_region) for state in self.run]
        if len(set(keys)) < len(keys):
            raise ValueError("two run states share their clock and fetch_region")
        rests: dict[SleepName, tuple[RestState, ...]] = {"sleep": self.sleep, "deep_sleep": self.deep_sleep}
        for name, given in rests.items():
            if bool(given) == bool(self.not_modelled.get(name)):
                raise ValueError(f"{name} is either given or named in not_modelled with a reason")
            self._check_clocks(name, given)
        currents = [state for state in self.run if state.current_ua is not None]
        if self.conditions.volt is None and (currents or self.sleep or self.deep_sleep):
            raise ValueError("a current means nothing without conditions.volt")
        if self.event_energy_pj and len(set(self.conditions.volt or (0, 1))) > 1:
            raise ValueError("event_energy_pj holds at one conditions.volt, not over a range")
        if any(c.kind == "fit" for c in self.run_coefficients()) and not (self.data and self.residual):
            raise ValueError("a fitted coefficient needs data and residual: what it was fitted on, and how well")
        for clock_mhz, fetch_region in keys:
            for operator in ("", *self.operator_factors):
                self.states(clock_mhz, fetch_region, self.lowest_volt, Work(1.0, {}, {operator: 1}))
        return self

    def _check_clocks(self, name: SleepName, given: tuple[RestState, ...]) -> None:
        clocks = [rest.clock_mhz for rest in given]
        running = {state.clock_mhz for state in self.run}
        if given and clocks != [None] and (len(set(clocks)) < len(clocks) or set(clocks) != running):
            raise ValueError(f"{name} is given once, or once for each clock_mhz of run")

    @property
    def identity(self) -> str:
        """Target, boundary, version, conditions and a digest of every coefficient: what a record names."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]
        return f"{self.target}/{self.boundary} v{self.version} ({self.conditions.label}) {digest}"

    @property
    def lowest_volt(self) -> float | None:
        """The lowest supply that the model holds for; None where its source does not say."""
        return None if self.conditions.volt is None else self.conditions.volt[0]

    def run_coefficients(self) -> tuple[Coefficient, ...]:
        """What the power while inferring is made of."""
        shared = (*self.operator_factors.values(), *self.event_energy_pj.values())
        return (*(c for state in self.run for c in state.coefficients), *shared)

    def run_state(self, clock_mhz: float, fetch_region: str) -> RunState:
        """The run state of a clock and a fetch region.

        Raises:
            AssetError: there is none.
        """
        for state in self.run:
            if state.clock_mhz == clock_mhz and state.fetch_region == fetch_region:
                return state
        known = ", ".join(f"{state.clock_mhz:g} MHz from {state.fetch_region}" for state in self.run)
        raise AssetError(
            f"energy model {self.target}/{self.boundary}: no run power at {clock_mhz:g} MHz from {fetch_region}",
            hint=f"it covers {known}; nothing is extrapolated",
        )

    def states(self, clock_mhz: float, fetch_region: str, volt: float | None, work: Work | None = None) -> PowerStates:
        """Power by state when code is fetched from that region at that clock.

        Args:
            clock_mhz: of the core.
            fetch_region: where the code lies.
            volt: supply of the rail; None only where the model does not know its own.
            work: the program; without one, power is that of a program whose operators all have the factor one, and
                which causes no events.

        Raises:
            AssetError: no run state for this clock and fetch region, or another supply.
        """
        if self.conditions.volt is not None and (volt is None or not self.conditions.hold_at(volt, self._regulator)):
            raise AssetError(
                f"energy model {self.target}/{self.boundary}: it holds for {self.conditions.label}, not for {volt} V",
                hint="a model is never used outside of its conditions",
            )
        state = self.run_state(clock_mhz, fetch_region)
        power = self._run_power_uw(state, volt, work)
        ranking = Estimate.absent(f"the energy model of {self.target} does not tell what differs between programs")
        if state.power_error is not None:
            power = _within(power.exact, state.power_error)
        if self.candidate_error is not None:
            ranking = _within(power.exact, self.candidate_error)
            power = _spanning(power, ranking)
        return PowerStates(
            run_power_uw=power,
            ranking_run_power_uw=ranking,
            sleep=self._rest("sleep", self.sleep, clock_mhz, volt),
            deep_sleep=self._rest("deep_sleep", self.deep_sleep, clock_mhz, volt),
            volt=volt if self.conditions.volt is not None else None,
        )

    def notes(self, clock_mhz: float, fetch_region: str, work: Work) -> tuple[str, ...]:
        """What a reader of the energy of a program should know: what it rests on, and where the model does not hold."""
        found = []
        state = self.run_state(clock_mhz, fetch_region)
        kinds = {coefficient.kind for coefficient in state.coefficients}
        if not kinds & {"fit", "published"}:
            anchor = "the datasheet's current" if "datasheet" in kinds else "a declared current"
            found.append(f"energy rests on {anchor}: nobody has measured networks on this chip for this model")
        if state.power_error is not None:
            found.append(f"the interval of the energy is for {_SET_UPS[self.set_up]}")
        instructions = max(1, work.counts.get("instructions", 0))
        shares = {name: work.counts.get(name, 0) / instructions for name in self.domain}
        outside = [n for n, share in shares.items() if not self.domain[n].low <= share <= self.domain[n].high]
        if outside:
            found.append(
                "energy is extrapolated: the program lies outside of what the power was fitted on "
                f"({', '.join(outside)} per instruction)"
            )
        return tuple(found)

    @property
    def _regulator(self) -> str:
        return self.conditions.regulator or ""

    def _run_power_uw(self, state: RunState, volt: float | None, work: Work | None) -> Estimate:
        if state.power_uw is not None:
            base = state.power_uw.estimate()
        else:
            assert state.current_ua is not None and volt is not None
            base = state.current_ua.estimate().scaled(volt)
        factors = [state.activity_factor.estimate()] if state.activity_factor is not None else []
        if work is None:
            return reduce(_times, factors, base)
        factors.append(self._operator_factor(work.macs))
        terms = [c.estimate().scaled(n) for name, c in self.event_energy_pj.items() if (n := work.counts.get(name, 0))]
        power = reduce(_times, factors, base)
        if not terms:
            return power
        events_pj = combine(lambda *energies: sum(energies), *terms)
        return combine(lambda uw, pj: uw + pj * _UW_PER_PJ_MS / work.latency_ms, power, events_pj)

    def _operator_factor(self, macs: Mapping[str, int]) -> Estimate:
        total = sum(macs.values())
        named = {name: self.operator_factors[name] for name in macs if macs[name] and name in self.operator_factors}
        if not named:
            return Estimate(value=1.0, origin="estimated")
        rest = 1 - sum(macs[name] for name in named) / total
        shares = [macs[name] / total for name in named]
        return combine(
            lambda *factors: rest + sum(s * f for s, f in zip(shares, factors, strict=True)),
            *(coefficient.estimate() for coefficient in named.values()),
        )

    def _rest(self, name: SleepName, given: tuple[RestState, ...], clock_mhz: float, volt: float | None) -> SleepState:
        rest = next((rest for rest in given if rest.clock_mhz in (None, clock_mhz)), None)
        if rest is None or volt is None:
            return SleepState.unknown(f"{self.boundary} {name}: {self.not_modelled.get(name, 'not modelled')}")
        return SleepState(
            power_uw=rest.current_ua.estimate().scaled(volt),
            wake_up_ms=rest.wake_up_latency_us.estimate().scaled(1e-3),
            wake_up_energy_uj=rest.wake_up_energy_uj.estimate(),
        )


def _within(estimate: Estimate, error: RelativeError) -> Estimate:
    return _times(estimate, error.estimate("estimated"))


def _spanning(whole: Estimate, part: Estimate) -> Estimate:
    """The whole, no narrower than its part."""
    if None in (whole.low, whole.high, part.low, part.high):
        return whole
    return whole.model_copy(update={"low": min(whole.low, part.low), "high": max(whole.high, part.high)})  # type: ignore[type-var]


def _times(a: Estimate, b: Estimate) -> Estimate:
    return combine(mul, a, b)


class EnergyModelFile(Frozen):
    """``energy_models/<target>.yaml``: the models of one target, by boundary and supply."""

    models: tuple[EnergyModel, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> EnergyModelFile:
        if len({model.target for model in self.models}) > 1:
            raise ValueError("the models of one file are models of one target")
        for model, other in combinations(self.models, 2):
            if model.boundary == other.boundary and model.conditions.meet(other.conditions):
                raise ValueError("two models share boundary, volt and regulator")
        return self
