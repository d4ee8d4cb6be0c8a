"""The one form of an energy model: power by state, energy and latency per wake-up, and the conditions they hold in.

::

    run_power  = activity_factor * current * volt        [uW = 1 * uA * V], or a power given as such
    rest_power = current * volt                          in sleep and deep_sleep
    energy per inference = run_power * latency           [uJ = 1e-3 * uW * ms]
    energy per wake-up   = as declared                   [uJ], from the wake-up event to the first instruction

Run power is tabulated by clock and by the memory that code is fetched from; it is not interpolated between clocks.
``activity_factor`` is what neural-network code draws over the loop that the datasheet current was taken with.
A model holds for one supply, one regulator and one measuring boundary; nothing is extrapolated beyond them.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import Field, model_validator

from crest.errors import AssetError
from crest.frozen import Frozen
from crest.intervals import combine
from crest.measurement import Estimate
from crest.schedule import PowerStates, SleepName, SleepState

Boundary = Literal["mcu_rail", "whole_board"]
CoefficientKind = Literal["datasheet", "published", "fit", "declared"]


class Coefficient(Frozen):
    """One number of a model, where it comes from, and how far it can be trusted.

    ``kind``: a datasheet line, a published measurement, a fit to named data, or declared by judgement. ``reason``
    says why this value and this interval.
    """

    value: float = Field(ge=0, allow_inf_nan=False)
    low: float = Field(ge=0, allow_inf_nan=False)
    high: float = Field(ge=0, allow_inf_nan=False)
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
    """What the numbers hold for. ``volt`` and ``regulator`` are None, with a reason, where a source does not say."""

    volt: float | None = Field(gt=0, allow_inf_nan=False)
    regulator: str | None
    temperature_c: float | None
    reason: str | None = None

    @model_validator(mode="after")
    def _explained(self) -> Conditions:
        if None in (self.volt, self.regulator, self.temperature_c) and not self.reason:
            raise ValueError("an unknown condition needs a reason")
        return self

    @property
    def label(self) -> str:
        """Short text, for example ``3 V dcdc 25 C``."""
        volt = "supply not stated" if self.volt is None else f"{self.volt:g} V"
        regulator = "" if self.regulator is None else f" {self.regulator}"
        temperature = "" if self.temperature_c is None else f" {self.temperature_c:g} C"
        return volt + regulator + temperature


class RunState(Frozen):
    """Running at one clock, fetching from one memory region: a current, or a power where only that is known."""

    clock_mhz: float = Field(gt=0)
    fetch_region: str
    current_ua: Coefficient | None = None
    power_uw: Coefficient | None = None
    activity_factor: Coefficient | None = None

    @model_validator(mode="after")
    def _one_quantity(self) -> RunState:
        given = self.current_ua or self.power_uw
        if given is None or (self.current_ua and self.power_uw):
            raise ValueError("a run state gives either current_ua or power_uw")
        if given.low <= 0:
            raise ValueError("running draws more than nothing")
        return self


class RestState(Frozen):
    """Waiting for the next release, and coming back from it."""

    current_ua: Coefficient
    wake_up_latency_us: Coefficient
    wake_up_energy_uj: Coefficient


class EnergyModel(Frozen):
    """Power by state of one target inside one measuring boundary.

    A rest state is given, or named in ``not_modelled`` with the reason; ``covers`` says what the boundary encloses.
    """

    target: str
    boundary: Boundary
    version: int = Field(ge=1)
    covers: str = Field(min_length=1)
    conditions: Conditions
    run: tuple[RunState, ...] = Field(min_length=1)
    sleep: RestState | None = None
    deep_sleep: RestState | None = None
    not_modelled: dict[SleepName, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> EnergyModel:
        keys = [(state.clock_mhz, state.fetch_region) for state in self.run]
        if len(set(keys)) < len(keys):
            raise ValueError("two run states share their clock and fetch_region")
        rests: dict[SleepName, RestState | None] = {"sleep": self.sleep, "deep_sleep": self.deep_sleep}
        for name, rest in rests.items():
            if (rest is None) != bool(self.not_modelled.get(name)):
                raise ValueError(f"{name} is either given or named in not_modelled with a reason")
        currents = [state for state in self.run if state.current_ua is not None]
        if self.conditions.volt is None and (currents or self.sleep or self.deep_sleep):
            raise ValueError("a current means nothing without conditions.volt")
        for clock_mhz, fetch_region in keys:
            self.states(clock_mhz, fetch_region)
        return self

    @property
    def identity(self) -> str:
        """Target, boundary, version, conditions and a digest of every coefficient: what a record names."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]
        return f"{self.target}/{self.boundary} v{self.version} ({self.conditions.label}) {digest}"

    def run_coefficients(self) -> tuple[Coefficient, ...]:
        """What the power while inferring is made of."""
        every = [c for state in self.run for c in (state.current_ua, state.power_uw, state.activity_factor)]
        return tuple(coefficient for coefficient in every if coefficient is not None)

    def run_power_uw(self, clock_mhz: float, fetch_region: str) -> Estimate:
        """Power while inferring, in uW.

        Raises:
            AssetError: no run state for this clock and fetch region.
        """
        for state in self.run:
            if state.clock_mhz == clock_mhz and state.fetch_region == fetch_region:
                return self._power_uw(state)
        known = ", ".join(f"{state.clock_mhz:g} MHz from {state.fetch_region}" for state in self.run)
        raise AssetError(
            f"energy model {self.target}/{self.boundary}: no run power at {clock_mhz:g} MHz from {fetch_region}",
            hint=f"it covers {known}; nothing is extrapolated",
        )

    def states(self, clock_mhz: float, fetch_region: str) -> PowerStates:
        """Power by state when code is fetched from that region at that clock.

        Raises:
            AssetError: no run state for this clock and fetch region.
        """
        return PowerStates(
            run_power_uw=self.run_power_uw(clock_mhz, fetch_region),
            sleep=self._rest("sleep", self.sleep),
            deep_sleep=self._rest("deep_sleep", self.deep_sleep),
            volt=self.conditions.volt,
        )

    def _power_uw(self, state: RunState) -> Estimate:
        if state.power_uw is not None:
            base = state.power_uw.estimate()
        else:
            assert state.current_ua is not None and self.conditions.volt is not None
            base = state.current_ua.estimate().scaled(self.conditions.volt)
        if state.activity_factor is None:
            return base
        return combine(lambda power_uw, factor: power_uw * factor, base, state.activity_factor.estimate())

    def _rest(self, name: SleepName, rest: RestState | None) -> SleepState:
        if rest is None or self.conditions.volt is None:
            return SleepState.unknown(f"{self.boundary} {name}: {self.not_modelled.get(name, 'not modelled')}")
        return SleepState(
            power_uw=rest.current_ua.estimate().scaled(self.conditions.volt),
            wake_up_ms=rest.wake_up_latency_us.estimate().scaled(1e-3),
            wake_up_energy_uj=rest.wake_up_energy_uj.estimate(),
        )


class EnergyModelFile(Frozen):
    """``energy_models/<target>.yaml``: the models of one target, by boundary and supply."""

    models: tuple[EnergyModel, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> EnergyModelFile:
        if len({model.target for model in self.models}) > 1:
            raise ValueError("the models of one file are models of one target")
        keys = [(model.boundary, model.conditions.volt, model.conditions.regulator) for model in self.models]
        if len(set(keys)) < len(keys):
            raise ValueError("two models share boundary, volt and regulator")
        return self
