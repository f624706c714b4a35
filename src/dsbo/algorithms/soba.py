"""SOBA, centralised: the iteration that D-SOBA spreads over a graph.

    x <- x - alpha_t mean_i (∇₁f_i - ∇²₁₂g_i z)
    y <- y - beta_t  mean_i ∇₂g_i
    z <- z - gamma_t mean_i (∇²₂₂g_i z - ∇₂f_i)

Dagréou et al. 2022; all directions at the old point, as on the slides' page "Centralized SOBA".
Derived in book/dsoba.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dsbo.algorithms.base import XYZ, Algorithm, Cost
from dsbo.schedules import Schedule, at
from dsbo.world import World


@dataclass(frozen=True)
class SOBA(Algorithm):
    """Stochastic one-loop bilevel algorithm: every agent steps along the mean of all directions.

    Parameters
    ----------
    alpha, beta, gamma : float or Schedule
        Steps of x, y and z.
    theta : float or Schedule, optional
        Without it x steps along the newest direction at once, as published. With it x steps along
        the moving average that D-SOBA keeps, one iteration late: then D-SOBA on the complete graph
        is this method exactly.
    """

    alpha: float | Schedule
    beta: float | Schedule
    gamma: float | Schedule
    theta: float | Schedule | None = None

    State: ClassVar[type[XYZ]] = XYZ
    title: ClassVar[str] = "SOBA"
    source: ClassVar[str] = "Dagréou et al. 2022"
    cost: ClassVar[Cost] = Cost("d + 2*p")
    centralised: ClassVar[bool] = True
    projectable: ClassVar[bool] = True

    def step(self, t: int, s: XYZ, w: World) -> XYZ:
        """Return the State of iteration t + 1."""
        u_x, u_y = w.f.grad(s.x, s.y, w.draw.xi(t))
        _, v, Jz, Hz = w.g.grad_hess(s.x, s.y, w.draw.zeta(t), s.z)
        D_x, D_y, D_z = w.mix(u_x - Jz, v, Hz - u_y)
        y, z = s.y - at(self.beta, t) * D_y, s.z - at(self.gamma, t) * D_z
        if self.theta is None:
            return self.State(s.x - at(self.alpha, t) * D_x, y, z, s.h)
        theta = at(self.theta, t)
        return self.State(s.x - at(self.alpha, t) * s.h, y, z, (1 - theta) * s.h + theta * D_x)
