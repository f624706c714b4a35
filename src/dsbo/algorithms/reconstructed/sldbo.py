"""SLDBO: SOBA's three directions, each tracked, and z kept in a ball.

    D_x = u_x,i - J_i z_i,    D_y = v_i,    D_z = H_i z_i - u_y,i
    t_i <- sum_j w_ij t_j + D_i - D'_i                              for each of x, y and z
    x_i <- sum_j w_ij x_j - alpha_t t_x,i,    y_i likewise with beta_t
    z_i <- P(sum_j w_ij z_j - gamma_t t_z,i)

P projects on the ball of a radius that bounds ‖z*‖. At rest every tracked mean direction is zero,
so the rest is the solution however different agents are.

Dong et al. 2025, from its abstract and reviews, not from its text: certain are one loop, tracking
in place of bounds on heterogeneity, two products with second derivatives and the projection; the
order of the lines, all directions at the same point, is reconstructed. Derived in book/table.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from dsbo.algorithms.base import Algorithm, Cost, Lower, Upper
from dsbo.projections import Ball
from dsbo.schedules import Schedule, at
from dsbo.world import World


class TrackedXYZ(NamedTuple):
    """The variables, and for each ``e``, the mixed tracker less D', to track the next D."""

    x: Upper
    y: Lower
    z: Lower
    e_x: Upper
    e_y: Lower
    e_z: Lower


@dataclass(frozen=True)
class SLDBO(Algorithm):
    """Single-loop decentralized bilevel optimization, for a shared lower level.

    Parameters
    ----------
    alpha, beta, gamma : float or Schedule
        Steps of x, y and z.
    radius : float
        Bound on ‖z‖ of every agent, positive; the solution's z must be inside.
    """

    alpha: float | Schedule
    beta: float | Schedule
    gamma: float | Schedule
    radius: float

    State: ClassVar[type[TrackedXYZ]] = TrackedXYZ
    title: ClassVar[str] = "SLDBO"
    source: ClassVar[str] = "Dong et al. 2025"
    colour: ClassVar[str] = "#62807E"
    roles: ClassVar[dict[str, str]] = Algorithm.roles | {"radius": "radius"}
    cost: ClassVar[Cost] = Cost("2*(d + 2*p)")
    projectable: ClassVar[bool] = True
    tracking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("radius")

    def step(self, t: int, s: TrackedXYZ, w: World) -> TrackedXYZ:
        """Return the State of iteration t + 1."""
        u_x, u_y = w.f.grad(s.x, s.y, w.draw.xi(t))
        _, v, Jz, Hz = w.g.grad_hess(s.x, s.y, w.draw.zeta(t), s.z)
        D = (u_x - Jz, v, Hz - u_y)
        trackers = [e + own for e, own in zip((s.e_x, s.e_y, s.e_z), D, strict=True)]
        x, y, z, *mixed = w.mix(s.x, s.y, s.z, push=trackers)
        t_x, t_y, t_z = trackers
        z = Ball(self.radius)(z - at(self.gamma, t) * t_z)
        e_x, e_y, e_z = (moved - own for moved, own in zip(mixed, D, strict=True))
        return self.State(x - at(self.alpha, t) * t_x, y - at(self.beta, t) * t_y, z, e_x, e_y, e_z)
