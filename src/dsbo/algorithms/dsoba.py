"""D-SOBA, one loop and three messages an iteration.

    x_i <- sum_j w_ij (x_j - alpha_t h_j)                          line 1
    y_i <- sum_j w_ij (y_j - beta_t v_j)                           line 2
    z_i <- sum_j w_ij (z_j - gamma_t (H_j z_j - u_y,j))            lines 3 and 4
    h_i <- (1 - theta_t) h_i + theta_t (u_x,i - J_i z_i)           lines 5 and 6

Kong et al. 2025, Algorithm 1, the SO variant; with `Problem.first_order` the FO variant. Derived
in book/dsoba.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dsbo.algorithms.base import UNAVERAGED, XYZ, Algorithm, Cost, descend
from dsbo.schedules import Schedule, at
from dsbo.world import World


@dataclass(frozen=True)
class DSOBA(Algorithm):
    """Decentralized stochastic one-loop bilevel algorithm, for a shared lower level.

    Parameters
    ----------
    alpha, beta, gamma : float or Schedule
        Steps of x, y and z.
    theta : float or Schedule
        Weight of the newest direction in the moving average h, in [0, 1]. It changes neither the
        point of rest nor what is sent. Since h starts at zero, x first moves at t = 1.
    """

    alpha: float | Schedule
    beta: float | Schedule
    gamma: float | Schedule
    theta: float | Schedule = UNAVERAGED

    State: ClassVar[type[XYZ]] = XYZ
    title: ClassVar[str] = "D-SOBA"
    source: ClassVar[str] = "Kong et al. 2025, Algorithm 1"
    colour: ClassVar[str] = "#5193E2"
    cost: ClassVar[Cost] = Cost("d + 2*p")
    projectable: ClassVar[bool] = True

    def step(self, t: int, s: XYZ, w: World) -> XYZ:
        """Return the State of iteration t + 1."""
        a, b, c, theta = at(self.alpha, t), at(self.beta, t), at(self.gamma, t), at(self.theta, t)
        u_x, u_y = w.f.grad(s.x, s.y, w.draw.xi(t))
        _, v, Jz, Hz = w.g.grad_hess(s.x, s.y, w.draw.zeta(t), s.z)
        x, y, z = w.mix(  # lines 1-4
            descend(s.x, a, s.h), descend(s.y, b, v), descend(s.z, c, Hz - u_y)
        )
        h = s.h.lerp(u_x - Jz, theta)  # lines 5-6
        return self.State(x, y, z, h)
