"""Motion of a device carried by a walking person: where it is and how it is turned, at any time.

Speed and heading are splines through seeded knots; steps, vertical bounce, sway and the swing of the carried device
follow from the speed. Positions are one cubic spline, so that velocity and acceleration are its exact derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from crest.errors import MissingExtraError

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]

GRAVITY_M_S2: Final = 9.80665

_LEG_M = 0.9
_ROOM_M = 6.0
_KNOT_S = 1.0
_PACE_S = (3.0, 7.0)
_STOP_S = (1.5, 3.5)
_STOP_SHARE = 0.12
_LOWEST_RATE_HZ = 0.6
_TURN_RAD_S = 1.1
_LATERAL_M_S2 = 1.2


@dataclass(frozen=True)
class Carrying:
    """A way of carrying the device and of moving with it.

    Attributes:
        speed_m_s: slowest and fastest pace.
        mounting_deg: intrinsic z, y, x angles from the walker's axes (forward, left, up) to the device's.
        cadence_hz: base and slope per m/s of the rate of steps (or, on wheels, of ripples).
        bounce: vertical bounce relative to a stiff-legged walker's.
        surge_m: fore-aft motion at the rate of steps.
        sway_m: lateral motion at the rate of strides (two steps).
        swing_m: fore-aft motion at the rate of strides.
        swing_rad: pitch, yaw and roll oscillation at the rate of strides.
    """

    speed_m_s: tuple[float, float]
    mounting_deg: tuple[float, float, float]
    cadence_hz: tuple[float, float] = (0.95, 0.75)
    bounce: float = 0.7
    surge_m: float = 0.012
    sway_m: float = 0.02
    swing_m: float = 0.0
    swing_rad: tuple[float, float, float] = (0.03, 0.05, 0.04)


@dataclass(frozen=True)
class Motion:
    """A walk sampled at regular times.

    Attributes:
        position_m: [n, 3] world axes, z up.
        acceleration_m_s2: [n, 3] second derivative of the position, world axes, without gravity.
        orientation: n rotations from the device's axes to the world's.
        angular_rate_rad_s: [n, 3] in the device's axes.
        speed_m_s: [n] speed along the path.
        step_phase_rad: [n] 2 pi a step; a foot strikes at every multiple.
    """

    position_m: Floats
    acceleration_m_s2: Floats
    orientation: Rotation
    angular_rate_rad_s: Floats
    speed_m_s: Floats
    step_phase_rad: Floats


def simulate(carrying: Carrying, samples: int, rate_hz: float, rng: np.random.Generator) -> Motion:
    """Let a person walk about a room for ``samples / rate_hz`` seconds.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    try:
        from scipy.interpolate import CubicSpline
    except ImportError as exc:
        raise MissingExtraError("generated walks need scipy", hint="pip install 'crest[search]'") from exc
    time_s = np.arange(samples) / rate_hz
    # Orientation is asked for slightly outside of the samples.
    margin_s = 0.01
    course = _course(carrying, time_s[-1] + margin_s, margin_s, rng)
    orientation_at = _orientation(carrying, course, rng)
    position = CubicSpline(time_s, _positions(carrying, course, time_s, rng))
    half_s = 0.001
    turned = orientation_at(time_s - half_s).inv() * orientation_at(time_s + half_s)
    return Motion(
        position_m=position(time_s),
        acceleration_m_s2=position(time_s, 2),
        orientation=orientation_at(time_s),
        angular_rate_rad_s=turned.as_rotvec() / (2 * half_s),
        speed_m_s=course.pace(time_s),
        step_phase_rad=course.phase(time_s),
    )


@dataclass(frozen=True)
class _Course:
    """Functions of time: speed (m/s), heading (rad), phase of the steps (rad); and the cadence's base and slope."""

    pace: Callable[[Floats], Floats]
    heading: Callable[[Floats], Floats]
    phase: Callable[[Floats], Floats]
    cadence_hz: tuple[float, float]


def _course(carrying: Carrying, end_s: float, margin_s: float, rng: np.random.Generator) -> _Course:
    from scipy.interpolate import CubicSpline

    pace = _pace(carrying, end_s, rng)
    heading = _heading(pace, end_s, rng)
    # Walkers differ in how long a step they take at the same speed.
    walker = rng.normal(1.0, 0.03)
    base_hz, slope_hz = (value * walker for value in carrying.cadence_hz)
    grid_s = np.arange(-margin_s, end_s + margin_s, 0.01)
    phase = CubicSpline(grid_s, 2 * np.pi * (base_hz + slope_hz * pace(grid_s))).antiderivative()
    return _Course(pace, heading, phase, (base_hz, slope_hz))


def _pace(carrying: Carrying, seconds: float, rng: np.random.Generator) -> Callable[[Floats], Floats]:
    """Speed over time: held for some seconds, changed within one, now and then a stop; never negative."""
    from scipy.interpolate import PchipInterpolator

    knots_s, speeds = [-1.0], [rng.uniform(*carrying.speed_m_s)]
    while knots_s[-1] < seconds:
        stop = rng.random() < _STOP_SHARE and speeds[-1] > 0.0
        hold_s = rng.uniform(*(_STOP_S if stop else _PACE_S))
        speed = 0.0 if stop else rng.uniform(*carrying.speed_m_s)
        knots_s += [knots_s[-1] + 1.0, knots_s[-1] + 1.0 + hold_s]
        speeds += [speed, speed]
    interpolate: Callable[[Floats], Floats] = PchipInterpolator(knots_s, speeds)
    return interpolate


def _heading(pace: Callable[[Floats], Floats], seconds: float, rng: np.random.Generator) -> Callable[[Floats], Floats]:
    """Heading over time (rad, unwrapped): a random walk that turns back towards the middle of the room."""
    from scipy.interpolate import CubicSpline

    knots_s = np.arange(-_KNOT_S, seconds + 2 * _KNOT_S, _KNOT_S)
    speeds = pace(np.clip(knots_s, 0.0, seconds))
    headings = [rng.uniform(-np.pi, np.pi)]
    place = rng.uniform(-0.4, 0.4, size=2) * _ROOM_M
    for speed in speeds[:-1]:
        direction = np.array([np.cos(headings[-1]), np.sin(headings[-1])])
        place = place + speed * _KNOT_S * direction
        inward = np.arctan2(-place[1], -place[0])
        off = np.angle(np.exp(1j * (inward - headings[-1])))
        outside = np.clip(np.hypot(*place) / _ROOM_M - 0.4, 0.0, 1.0)
        # Nobody turns at full speed.
        most = min(_TURN_RAD_S, _LATERAL_M_S2 / max(speed, 0.1)) * _KNOT_S
        headings.append(headings[-1] + np.clip(rng.normal(0.0, 0.3) + outside * off, -most, most))
    spline: Callable[[Floats], Floats] = CubicSpline(knots_s, headings)
    return spline


def _gate(speed_m_s: Floats) -> Floats:
    """How much of the sway there is at a speed: none standing, most of it walking."""
    return speed_m_s / (speed_m_s + 0.4)


def _orientation(carrying: Carrying, course: _Course, rng: np.random.Generator) -> Callable[[Floats], Rotation]:
    """Rotation from the device's axes to the world's as a function of time."""
    from scipy.spatial.transform import Rotation

    # Nobody holds a device twice in the same way.
    grip = Rotation.from_rotvec(np.radians(rng.normal(0.0, 3.0, size=3)))
    mounting = Rotation.from_euler("ZYX", carrying.mounting_deg, degrees=True) * grip
    lag = rng.uniform(0.0, 2 * np.pi, size=3)

    def at(time_s: Floats) -> Rotation:
        gate = _gate(course.pace(time_s))
        yaw, pitch, roll = (
            size * gate * np.sin(course.phase(time_s) / 2 + shift)
            for size, shift in zip(carrying.swing_rad, lag, strict=True)
        )
        return Rotation.from_euler("ZYX", np.stack([course.heading(time_s) + yaw, pitch, roll], axis=1)) * mounting

    return at


def _positions(carrying: Carrying, course: _Course, time_s: Floats, rng: np.random.Generator) -> Floats:
    """Positions [n, 3] at the samples: the path on the floor, and the motion of the device about it."""
    from scipy.interpolate import CubicSpline

    speed, angle, step = course.pace(time_s), course.heading(time_s), course.phase(time_s)
    base_hz, slope_hz = course.cadence_hz
    forward = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    left = np.stack([-np.sin(angle), np.cos(angle)], axis=1)
    path = CubicSpline(time_s, speed[:, None] * forward).antiderivative()(time_s)
    gate = _gate(speed)
    fore = gate * (carrying.surge_m * np.sin(step) + carrying.swing_m * np.sin(step / 2))
    side = gate * carrying.sway_m * np.sin(step / 2)
    # A stiff leg lifts the body by about L^2 / (8 leg) in every step of length L; it is lowest at the strike.
    # Wheels have no base rate: their ripple fades out towards a stop.
    length_m = speed / np.maximum(base_hz + slope_hz * speed, _LOWEST_RATE_HZ)
    bounce_m = carrying.bounce * length_m**2 / (16 * _LEG_M)
    height = rng.uniform(0.8, 1.2) - bounce_m * (np.cos(step) + 0.2 * np.cos(2 * step))
    return np.column_stack([path + fore[:, None] * forward + side[:, None] * left, height])
