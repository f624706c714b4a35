"""Step sizes as functions of the iteration t.

A schedule is a small frozen object, so that an algorithm prints its settings, compares equal and
can be sent to another process. A plain number is accepted wherever a schedule is meant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Protocol, runtime_checkable


@runtime_checkable
class Schedule(Protocol):
    """A step size for every iteration t = 0, 1, 2 and so on."""

    def __call__(self, t: int) -> float:
        """Return the step size of iteration t."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same value at every t.

    >>> Constant(0.1)(7)
    0.1
    """

    value: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value >= 0):
            raise ValueError(f"a step size must be finite and not negative, got {self.value}")

    def __call__(self, t: int) -> float:  # noqa: ARG002
        """Return the value, whatever t is."""
        return self.value


@dataclass(frozen=True)
class Power:
    """scale · (shift + t)^(−exponent), the decreasing steps of the theorems.

    >>> Power(1.0, shift=8.0, exponent=1 / 3)(0)
    0.5
    """

    scale: float
    shift: float = 1.0
    exponent: float = 0.5

    def __post_init__(self) -> None:
        if not (self.scale >= 0 and self.shift > 0 and self.exponent >= 0):
            raise ValueError(f"need scale >= 0, shift > 0 and exponent >= 0, got {self}")

    def __call__(self, t: int) -> float:
        """Return the step size of iteration t."""
        return float(self.scale * (self.shift + t) ** -self.exponent)


def as_schedule(value: float | Schedule, name: str = "step size") -> Schedule:
    """Turn a number into a `Constant` and leave a schedule as it is.

    Raises
    ------
    TypeError
        If ``value`` is neither a number nor callable.
    ValueError
        If a number is negative, infinite or NaN.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            return Constant(float(value))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    if callable(value):
        return value
    raise TypeError(f"{name} must be a number or a schedule such as Power(0.1), got {value!r}")
