"""Step sizes as functions of the iteration t.

A schedule is a small frozen object, so that an algorithm prints its settings, compares equal and
can be sent to another process. A plain number is accepted wherever a schedule is meant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from dsbo.checked import real


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
        _numbers(self, "value")

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
        _numbers(self, "scale", "shift", "exponent")
        if self.shift == 0 or -math.log(self.shift) * self.exponent > 700:
            raise ValueError(f"shift ** -exponent must be finite, got {self}; take a larger shift")

    def __call__(self, t: int) -> float:
        """Return the step size of iteration t."""
        return float(self.scale * (self.shift + t) ** -self.exponent)


@dataclass(frozen=True)
class Momentum:
    """The rule of recursive momentum: 1 at t = 0, then scale · alpha(t - 1)², at most 1.

    A weight is a share, so where the rule exceeds 1 it is cut, and there the momentum forgets all:
    `clipped` says for how long.

    >>> eta = Momentum(0.1, Power(10.0, shift=2.0, exponent=1 / 3))
    >>> eta(0), eta(1), round(eta(100), 3), eta.clipped()
    (1.0, 1.0, 0.461, 31)
    """

    scale: float
    alpha: float | Schedule

    def __post_init__(self) -> None:
        _numbers(self, "scale")
        object.__setattr__(self, "alpha", as_schedule(self.alpha, "Momentum.alpha"))

    def __call__(self, t: int) -> float:
        """Return the weight of iteration t, in [0, 1]."""
        return min(1.0, self._rule(t)) if t else 1.0

    def clipped(self, horizon: int = 100_000) -> int:
        """Return the first t > 0 from which the rule is not cut, or ``horizon`` if there is none.

        The rule is assumed to fall, as it does for decreasing steps.
        """
        return next((t for t in range(1, horizon) if self._rule(t) <= 1.0), horizon)

    def _rule(self, t: int) -> float:
        return float(self.scale * at(self.alpha, t - 1) ** 2)


def at(step: float | Schedule, t: int) -> float:
    """Return a step size at iteration t.

    >>> at(Power(0.5), 3)
    0.25
    """
    value = step(t) if callable(step) else step
    return value if isinstance(value, Tensor) else float(value)  # a sweep's steps are tensors


def as_schedule(value: float | Schedule, name: str = "step size") -> Schedule:
    """Turn a number into a `Constant` and leave a schedule as it is.

    Raises
    ------
    TypeError
        If ``value`` is neither a number nor callable.
    ValueError
        If a number is negative, infinite or NaN.
    """
    if callable(value):
        return value
    return Constant(real(value, f"{name}, if it is no schedule such as Power(0.1),", least=0))


def _numbers(step: Any, *names: str) -> None:
    """Convert these settings of a schedule, or say which is no number or negative."""
    for name in names:
        value = real(getattr(step, name), f"{type(step).__name__}.{name}", least=0)
        object.__setattr__(step, name, value)
