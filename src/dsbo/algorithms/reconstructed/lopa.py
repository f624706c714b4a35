"""LoPA and LoPA-GT: SOBA's loopless y and z for personal lower levels; only x is mixed.

    h_i <- (1 - theta_t) h_i + theta_t (u_x,i - J_i z_i)
    u_i <- sum_j w_ij u_j + h_i - h'_i                 LoPA-GT;    u_i <- h_i    LoPA
    x_i <- sum_j w_ij x_j - alpha_t u_i
    y_i <- y_i - beta_t v_i
    z_i <- z_i - gamma_t (H_i z_i - u_y,i)

Everything on the right is taken at the iterates of before but the newest h and u.

Niu et al. 2025, from its abstract, not from its text: certain are that no level loops, that y and z
stay with their agents, the two ways to move x and what is sent; the moving average and the order
of the lines are reconstructed. Derived in book/table.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from dsbo.algorithms.base import UNAVERAGED, Algorithm, Cost, Lower, Upper
from dsbo.schedules import Schedule, at
from dsbo.world import World


class TrackedAverage(NamedTuple):
    """The variables: iterates, moving average ``h`` and its tracker ``u``."""

    x: Upper
    y: Lower
    z: Lower
    h: Upper
    u: Upper


@dataclass(frozen=True)
class LOPA(Algorithm):
    """Loopless personalised bilevel algorithm, without tracking.

    Parameters
    ----------
    alpha, beta, gamma : float or Schedule
        Steps of x, y and z.
    theta : float or Schedule
        Weight of the newest direction in the moving average h, in [0, 1].
    """

    alpha: float | Schedule
    beta: float | Schedule
    gamma: float | Schedule
    theta: float | Schedule = UNAVERAGED

    State: ClassVar[type[TrackedAverage]] = TrackedAverage
    title: ClassVar[str] = "LoPA"
    source: ClassVar[str] = "Niu et al. 2025"
    colour: ClassVar[str] = "#762900"
    cost: ClassVar[Cost] = Cost("d")
    shared_lower: ClassVar[bool] = False
    projectable: ClassVar[bool] = True

    def step(self, t: int, s: TrackedAverage, w: World) -> TrackedAverage:
        """Return the State of iteration t + 1."""
        u_x, u_y = w.f.grad(s.x, s.y, w.draw.xi(t))
        _, v, Jz, Hz = w.g.grad_hess(s.x, s.y, w.draw.zeta(t), s.z)
        h = s.h.lerp(u_x - Jz, at(self.theta, t))
        if self.tracking:
            x, u = w.mix(s.x, push=(s.u,))
            u = u + h - s.h
        else:
            (x,), u = w.mix(s.x), h
        y, z = s.y - at(self.beta, t) * v, s.z - at(self.gamma, t) * (Hz - u_y)
        return self.State(x - at(self.alpha, t) * u, y, z, h, u)


@dataclass(frozen=True)
class LOPAGT(LOPA):
    """LoPA with gradient tracking, which removes the influence of heterogeneity."""

    title: ClassVar[str] = "LoPA-GT"
    source: ClassVar[str] = "Niu et al. 2025"
    colour: ClassVar[str] = "#6E9AA8"
    cost: ClassVar[Cost] = Cost("2*d")
    tracking: ClassVar[bool] = True
