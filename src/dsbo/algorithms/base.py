"""What all algorithms share: frozen settings, of which every step size is a schedule."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dsbo.hypergrad import Chain, neumann
from dsbo.schedules import Schedule, as_schedule
from dsbo.world import World

Weights = NDArray[np.float64]


class State(Protocol):
    """The variables of a run: a NamedTuple of tensors ``[n, …]``, x and y among them."""

    @property
    def x(self) -> Tensor:
        """Upper variables ``[n, d]``."""
        ...

    @property
    def y(self) -> Tensor:
        """Lower variables ``[n, p]``."""
        ...


@dataclass(frozen=True)
class Algorithm:
    """A frozen dataclass of schedules with a nested State, and pure ``init`` and ``step``.

    Numbers given for settings that are annotated as `Schedule` become constant schedules.
    """

    shared_lower: ClassVar[bool] = True
    """True if all agents share one lower variable, False if each has its own."""
    centralised: ClassVar[bool] = False
    """True if mixing must be exact averaging."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if "Schedule" in str(setting.type) and value is not None:
                name = f"{type(self).__name__}.{setting.name}"
                object.__setattr__(self, setting.name, as_schedule(value, name))

    def fits(self, x: Weights, y: Weights, z: Weights) -> None:
        """Raise a ValueError if the method cannot use the weights ``[N, N]`` of x, y and z."""
        if not (x is y is z):
            raise ValueError(
                f"{type(self).__name__} mixes everything over one graph, but x, y and z have "
                "different ones; give one network instead of PerLevel, or use SPARKLE"
            )

    def init(self, x: Tensor, y: Tensor) -> Any:
        """Return the first State from equal starts ``x [n, d]`` and ``y [n, p]``."""
        raise NotImplementedError

    def step(self, t: int, s: Any, w: World) -> Any:
        """Return the State of iteration t + 1."""
        raise NotImplementedError


@dataclass(frozen=True)
class Momenta(Algorithm):
    """A method with momenta on both levels, whose upper estimates come from a Neumann series.

    Parameters
    ----------
    alpha, beta : float or Schedule
        Steps of x and y.
    eta, gamma : float or Schedule
        Weights of the newest estimates in the momenta of x and y, in [0, 1]; 1 keeps no momentum.
        They should be 1 at t = 0, where there is nothing to remember.
    K : int
        Terms of the Neumann series.
    L : float
        Bound on the largest eigenvalue of every lower Hessian.
    full_sum : bool
        Add all terms of a chain up instead of drawing one; see `neumann`.
    """

    alpha: Schedule
    beta: Schedule
    eta: Schedule
    gamma: Schedule
    K: int
    L: float
    full_sum: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.K, bool) or not isinstance(self.K, int) or self.K < 1:
            raise ValueError(f"K must be a whole number of terms, at least 1, got {self.K!r}")
        if not 0 < self.L < float("inf"):
            raise ValueError(f"L must bound the lower Hessians, so be positive, got {self.L}")

    def estimates(
        self, w: World, x: Tensor, y: Tensor, chain: Chain, zeta: Any
    ) -> tuple[Tensor, Tensor]:
        """Return every agent's own hypergradient ``[n, d]`` and lower gradient ``[n, p]``."""
        q = neumann(w.f, w.g, x, y, chain, self.L, self.full_sum)
        return q, w.g.grad(x, y, zeta)[1]


class XYZ(NamedTuple):
    """The variables of SOBA and its kin: upper ``x``, lower ``y``, auxiliary ``z``, average ``h``.

    x and h are ``[n, d]``, y and z ``[n, p]``.
    """

    x: Tensor
    y: Tensor
    z: Tensor
    h: Tensor
