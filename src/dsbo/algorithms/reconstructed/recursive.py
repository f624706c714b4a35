"""STORM and SARAH on SOBA's three directions, with SPARKLE's strategies between agents.

With D the directions of x, y and z at (x_i, y_i, z_i),

    D_x = u_x,i - J_i z_i,      D_y = v_i,      D_z = H_i z_i - u_y,i

D' those of the same samples at the previous iterate, and a strategy of `sparkle` for each level s:

    m_s,i <- D_s + (1 - eta_s,t) (m_s,i - D'_s)                    STORM
    m_s,i <- m_s,i + D_s - D'_s                                    SARAH, eta = 0
    s_i: direction m_s,i                                           x, y and z

SARAH takes the mean of q draws in every q-th iteration, from the first on. A direction is linear in
each sample and unbiased, and at rest m = D, so both rest where SPARKLE does, at the solution.

For one agent, certain from public code: SRBA (Dagréou et al. 2024) is SARAH with restarts that take
all samples, and FSLA (Li, Gu and Huang 2022) is STORM with eta = 1 on y and z, which it updates
first. STORM is of Cutkosky and Orabona 2019; with eta = 1 on all levels it is SOBA. For several
agents no paper's text was at hand: certain are the strategies, reconstructed is their use here, and
no theorem with a rate is known for it. Derived in book/variance-reduced.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from dsbo.algorithms.base import UNAVERAGED, Cost, Lower, Upper
from dsbo.algorithms.reconstructed.sparkle import SPARKLE, STRATEGIES
from dsbo.schedules import Constant, Schedule, at
from dsbo.world import World


class Remembered(NamedTuple):
    """The variables: iterates, estimates m, what strategies remember, and previous iterates."""

    x: Upper
    y: Lower
    z: Lower
    m_x: Upper
    m_y: Lower
    m_z: Lower
    e_x: Upper
    e_y: Lower
    e_z: Lower
    x_: Upper
    y_: Lower
    z_: Lower


@dataclass(frozen=True)
class STORMSOBA(SPARKLE):
    """SOBA's directions with recursive momentum, for a shared lower level.

    Parameters
    ----------
    alpha, beta, gamma, upper, lower, auxiliary
        As in `SPARKLE`.
    eta_x, eta_y, eta_z : float or Schedule
        Weights of the newest directions in the momenta of x, y and z, in [0, 1]; 1 keeps none. They
        should be 1 at t = 0, where there is nothing to remember.
    """

    theta: float | Schedule = field(default=UNAVERAGED, init=False)
    eta_x: float | Schedule = UNAVERAGED
    eta_y: float | Schedule = UNAVERAGED
    eta_z: float | Schedule = UNAVERAGED

    State: ClassVar[type[Remembered]] = Remembered  # type: ignore[assignment]
    shares: ClassVar[tuple[str, ...]] = ("eta_x", "eta_y", "eta_z")
    roles: ClassVar[dict[str, str]] = {
        "alpha": "upper",
        "beta": "lower",
        "gamma": "auxiliary",
        **dict.fromkeys(shares, "recursive"),
    }
    title: ClassVar[str] = "STORM-SOBA"
    source: ClassVar[str] = "Cutkosky and Orabona 2019 on Dagréou et al. 2022"
    colour: ClassVar[str] = "#009623"
    cost: ClassVar[Cost] = Cost(*SPARKLE.cost[:2], "2", "2", "2", "2")

    def step(self, t: int, s: Remembered, w: World) -> Remembered:  # type: ignore[override]
        """Return the State of iteration t + 1."""
        m_x, m_y, m_z = self.momenta(t, s, w)
        upper, lower, auxiliary = (
            STRATEGIES[name] for name in (self.upper, self.lower, self.auxiliary)
        )
        x, e_x = upper(w.mix, s.x, s.e_x, m_x, at(self.alpha, t))
        y, e_y = lower(w.mix_y, s.y, s.e_y, m_y, at(self.beta, t))
        z, e_z = auxiliary(w.mix_z, s.z, s.e_z, m_z, at(self.gamma, t))
        return self.State(x, y, z, m_x, m_y, m_z, e_x, e_y, e_z, s.x, s.y, s.z)

    def momenta(self, t: int, s: Remembered, w: World) -> Sequence[Tensor]:
        """Return m of x ``[n, d]``, of y and of z ``[n, p]``."""
        samples = w.draw.xi(t), w.draw.zeta(t)
        new = directions(w, s.x, s.y, s.z, *samples)
        old = directions(w, s.x_, s.y_, s.z_, *samples)
        etas = [at(eta, t) for eta in (self.eta_x, self.eta_y, self.eta_z)]
        kept = zip(new, old, (s.m_x, s.m_y, s.m_z), etas, strict=True)
        return [D + (1 - eta) * (m - D_) for D, D_, m, eta in kept]


@dataclass(frozen=True)
class SRBA(STORMSOBA):
    """Stochastic recursive bilevel algorithm, over any network: momenta that restart, not forget.

    Parameters
    ----------
    alpha, beta, gamma, upper, lower, auxiliary
        As in `SPARKLE`.
    q : int
        Iterations from restart to restart, and draws of a restart.
    """

    eta_x: float | Schedule = field(default=Constant(0.0), init=False)
    eta_y: float | Schedule = field(default=Constant(0.0), init=False)
    eta_z: float | Schedule = field(default=Constant(0.0), init=False)
    q: int = 10

    title: ClassVar[str] = "SRBA"
    source: ClassVar[str] = "Dagréou et al. 2024"
    colour: ClassVar[str] = "#3B2C67"
    cost: ClassVar[Cost] = Cost(*SPARKLE.cost[:2], *["3 - 2/q"] * 4)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_counts("q")

    def momenta(self, t: int, s: Remembered, w: World) -> Sequence[Tensor]:
        """Return m of x ``[n, d]``, of y and of z ``[n, p]``."""
        if t % self.q:
            return super().momenta(t, s, w)
        samples = zip(w.draw.xis(t, self.q), w.draw.zetas(t, self.q), strict=True)
        found = [directions(w, s.x, s.y, s.z, *pair) for pair in samples]
        return [torch.stack(parts).mean(0) for parts in zip(*found, strict=True)]


def directions(
    w: World, x: Tensor, y: Tensor, z: Tensor, xi: Any, zeta: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Return SOBA's directions of x ``[n, d]``, of y and of z ``[n, p]``, all at one point."""
    u_x, u_y = w.f.grad(x, y, xi)
    _, v, Jz, Hz = w.g.grad_hess(x, y, zeta, z)
    return u_x - Jz, v, Hz - u_y
