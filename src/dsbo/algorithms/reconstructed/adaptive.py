"""AdaSDBO: steps that every agent takes from the norms of the directions it has met.

    D_x = u_x,i - J_i z_i,    D_y = v_i,    D_z = H_i z_i - u_y,i        at (x, y, z)
    T_i = D_i                                     AdaSDBO
    T_i = sum_j w_ij T_j + D_i - D'_i             AdaSDBO-GT, for each of x, y and z
    m_i = m_i + ‖T_i‖²,    m = 1 at first         for each of x, y and z
    r_i = sqrt(max(m_y,i, m_z,i))
    y_i <- sum_j w_ij (y_j - c / sqrt(m_y,j) T_y,j)
    z_i <- sum_j w_ij (z_j - c / r_j T_z,j)
    x_i <- sum_j w_ij (x_j - c / (sqrt(m_x,j) r_j) T_x,j)
    m_i <- sum_j w_ij m_j

The last line is what makes the steps of all agents nearly equal. At rest an agent's own direction
is not zero, so that without tracking m grows for ever and the steps fall as t^(-1/2); tracked ones
vanish, and the steps stay.

Zhai et al. 2025, from its abstract, not from its text: certain are one loop, steps from cumulated
norms of which x also feels those of y and z, and scalars that are sent to keep steps equal; the
order of the lines, the first m and what is sent are reconstructed. Tracking is this package's: no
theorem covers it. With one agent both are S-TFBO of Yang et al. 2025. Derived in book/adaptive.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import torch
from torch import Tensor

from dsbo.algorithms.base import Algorithm, Cost, Lower, Upper
from dsbo.schedules import Schedule, at
from dsbo.world import World

Single = Annotated[Tensor, "[n, 1]"]
"""A number of each agent."""


class Accumulated(NamedTuple):
    """The variables, of each the squared norms m, and ``e``, the mixed tracker less D'."""

    x: Upper
    y: Lower
    z: Lower
    m_x: Single
    m_y: Single
    m_z: Single
    e_x: Upper
    e_y: Lower
    e_z: Lower


@dataclass(frozen=True)
class AdaSDBO(Algorithm):
    """Adaptive single-loop decentralized bilevel optimization, for a shared lower level.

    Parameters
    ----------
    c : float or Schedule
        What all three steps are multiplied by. One that is too small slows x exponentially; one
        that is too large spoils the start, which the sums of norms make up for in time.
    """

    c: float | Schedule = 1.0

    State: ClassVar[type[Accumulated]] = Accumulated
    title: ClassVar[str] = "AdaSDBO"
    source: ClassVar[str] = "Zhai et al. 2025"
    colour: ClassVar[str] = "#B86315"
    roles: ClassVar[dict[str, str]] = {}
    cost: ClassVar[Cost] = Cost("d + 2*p + 3")

    def init(self, x: Tensor, y: Tensor) -> Accumulated:
        """Return the first State, whose sums of squared norms are 1."""
        one = x.new_ones(len(x), 1)
        zero_x, zero_y = torch.zeros_like(x), torch.zeros_like(y)
        return self.State(x, y, zero_y, one, one, one, zero_x, zero_y, zero_y)

    def step(self, t: int, s: Accumulated, w: World) -> Accumulated:
        """Return the State of iteration t + 1."""
        u_x, u_y = w.f.grad(s.x, s.y, w.draw.xi(t))
        _, v, Jz, Hz = w.g.grad_hess(s.x, s.y, w.draw.zeta(t), s.z)
        D_x, D_y, D_z = u_x - Jz, v, Hz - u_y
        T_x, T_y, T_z = s.e_x + D_x, s.e_y + D_y, s.e_z + D_z  # untracked, e stays 0
        m_x, m_y, m_z = s.m_x + squared(T_x), s.m_y + squared(T_y), s.m_z + squared(T_z)
        c, r = at(self.c, t), torch.maximum(m_y, m_z).sqrt()
        x = s.x - c / (m_x.sqrt() * r) * T_x
        y, z = s.y - c / m_y.sqrt() * T_y, s.z - c / r * T_z
        trackers = (T_x, T_y, T_z) if self.tracking else ()
        x, y, z, m_x, m_y, m_z, *mixed = w.mix(x, y, z, m_x, m_y, m_z, push=trackers)
        e_x, e_y, e_z = (
            (T - D for T, D in zip(mixed, (D_x, D_y, D_z), strict=True))
            if self.tracking
            else (s.e_x, s.e_y, s.e_z)
        )
        return self.State(x, y, z, m_x, m_y, m_z, e_x, e_y, e_z)


@dataclass(frozen=True)
class AdaSDBOGT(AdaSDBO):
    """AdaSDBO on tracked directions, so that its steps converge and so does the method."""

    title: ClassVar[str] = "AdaSDBO-GT"
    source: ClassVar[str] = "after Zhai et al. 2025"
    colour: ClassVar[str] = "#585074"
    cost: ClassVar[Cost] = Cost("2*(d + 2*p) + 3")
    tracking: ClassVar[bool] = True


def squared(rows: Tensor) -> Tensor:
    """Return the squared norm of each row of ``[n, ·]`` as ``[n, 1]``."""
    return rows.square().sum(1, keepdim=True)
