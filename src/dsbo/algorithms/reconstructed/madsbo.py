"""MA-DSBO: an inner loop for y, an inner loop for z, and a moving average for x.

    T_y times   y_i <- sum_j w_ij y_j - beta_t v_i
    T_z times   z_i <- sum_j w_ij z_j - gamma_t d_i
                d_i <- sum_j w_ij d_j + s_i - s'_i,          s_i = H_i z_i - u_y,i
                h_i <- (1 - theta_t) h_i + theta_t (u_x,i - J_i z_i)
                x_i <- sum_j w_ij x_j - alpha_t h_i          with the h of before

Chen et al. 2023, Algorithm 3, from memory and reviews of the paper, not from its text: certain are
the two loops, the tracking of the auxiliary one, the moving average and what is sent. Reconstructed
are the order of the lines, fresh samples in every inner step, that z goes on from where it was,
which can only help, and a theta of its own, where the paper ties theta_t = alpha_t. Derived in
book/baselines.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from dsbo.algorithms.base import XYZ, Algorithm, Cost
from dsbo.schedules import Schedule, at
from dsbo.world import World


@dataclass(frozen=True)
class MADSBO(Algorithm):
    """Moving-average decentralized stochastic bilevel optimization, for a shared lower level.

    Parameters
    ----------
    alpha, beta, gamma : float or Schedule
        Steps of x, y and z.
    theta : float or Schedule
        Weight of the newest direction in the moving average h, in [0, 1].
    T_y, T_z : int
        Steps of the two inner loops, at least 1.
    """

    alpha: float | Schedule
    beta: float | Schedule
    gamma: float | Schedule
    theta: float | Schedule
    T_y: int = 5
    T_z: int = 5

    State: ClassVar[type[XYZ]] = XYZ
    title: ClassVar[str] = "MA-DSBO"
    source: ClassVar[str] = "Chen et al. 2023, Algorithm 3"
    colour: ClassVar[str] = "#2B8D58"
    cost: ClassVar[Cost] = Cost(
        "d + T_y*p + 2*T_z*p", "1 + T_y + T_z", "T_z + 1", "T_y", "1", "T_z"
    )
    projectable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_counts("T_y", "T_z")

    def step(self, t: int, s: XYZ, w: World) -> XYZ:
        """Return the State of iteration t + 1."""
        zetas = w.draw.zetas(t, self.T_y + self.T_z)
        y = s.y
        for zeta in zetas[: self.T_y]:
            _, v = w.g.grad(s.x, y, zeta)
            (y,) = w.mix(y)
            y = y - at(self.beta, t) * v
        z = self._auxiliary(t, s.x, y, s.z, w, zetas[self.T_y :])
        u_x, _ = w.f.grad(s.x, y, w.draw.xi(t))
        Jz = w.g.jac(s.x, y, w.draw.zeta(t), z)
        h = s.h.lerp(u_x - Jz, at(self.theta, t))
        (x,) = w.mix(s.x)
        return self.State(x - at(self.alpha, t) * s.h, y, z, h)

    def _auxiliary(
        self, t: int, x: Tensor, y: Tensor, z: Tensor, w: World, zetas: list[object]
    ) -> Tensor:
        """Return z after the loop on ½⟨z, Hz⟩ - ⟨z, u_y⟩ with tracked directions."""
        d = s_ = z.new_zeros(z.shape)
        for xi, zeta in zip(w.draw.xis(t, self.T_z), zetas, strict=True):
            s = w.g.hess(x, y, zeta, z) - w.f.grad(x, y, xi)[1]
            z, d = w.mix(z, d)
            d = d + s - s_
            z, s_ = z - at(self.gamma, t) * d, s
        return z
