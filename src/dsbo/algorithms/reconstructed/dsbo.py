"""DSBO: an inner loop for y and one for a matrix, the inverse Hessian times the Jacobian.

    T_y times   y_i <- sum_j w_ij y_j - beta_t v_i
    T_Q times   Q_i <- sum_j w_ij Q_j - gamma_t D_i,               Q and D p × d
                D_i <- sum_j w_ij D_j + S_i - S'_i,                S_i = H_i Q_i - J_iᵀ
                x_i <- sum_j w_ij x_j - alpha_t (u_x,i - Q_iᵀ u_y,i)

The matrices make it exact with any Hessians, and make it send 2pd numbers in every inner round.

Chen, Huang and Ma 2022, from memory and reviews, not from its text: certain are the two loops, the
tracked least-squares problem for Q and what is sent; fresh samples in every step, one sample of J
an iteration and that Q goes on from where it was are reconstructed. Derived in book/table.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from dsbo.algorithms.base import Algorithm, Cost, Lower, Upper
from dsbo.allocator import require
from dsbo.schedules import Schedule, at
from dsbo.world import World

MATRICES = 16
"""That an agent holds at the peak of an iteration, measured: Q, D, S, the S of before, J, what is
mixed, and the columns and rows that S and J are put together from."""


class WithMatrix(NamedTuple):
    """The variables, and the rows of ``Q``, ``[n, p d]``."""

    x: Upper
    y: Lower
    Q: Tensor


@dataclass(frozen=True)
class DSBO(Algorithm):
    """Decentralized stochastic bilevel optimization by matrices, for a shared lower level.

    Parameters
    ----------
    alpha, beta, gamma : float or Schedule
        Steps of x, y and Q.
    T_y, T_Q : int
        Steps of the two inner loops, at least 1.

    Raises
    ------
    MemoryError
        When run, if the agents' matrices do not fit into memory.
    """

    alpha: float | Schedule
    beta: float | Schedule
    gamma: float | Schedule
    T_y: int = 5
    T_Q: int = 5

    State: ClassVar[type[WithMatrix]] = WithMatrix
    title: ClassVar[str] = "DSBO"
    source: ClassVar[str] = "Chen, Huang and Ma 2022"
    colour: ClassVar[str] = "#CA5553"
    cost: ClassVar[Cost] = Cost("d + T_y*p + 2*T_Q*p*d", "1 + T_y + T_Q", "1", "T_y", "p", "T_Q*d")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_counts("T_y", "T_Q")

    def init(self, x: Tensor, y: Tensor) -> WithMatrix:
        """Return the start: x and y as given, Q zero."""
        (n, d), p = x.shape, y.shape[1]
        needed = MATRICES * n * p * d * x.element_size()
        require(needed, f"DSBO's {MATRICES} matrices of {p} × {d} for {n} agents", x.device)
        return self.State(x, y, y.new_zeros(n, p * d))

    def step(self, t: int, s: WithMatrix, w: World) -> WithMatrix:
        """Return the State of iteration t + 1."""
        zetas = w.draw.zetas(t, self.T_y + self.T_Q)
        y = s.y
        for zeta in zetas[: self.T_y]:
            _, v = w.g.grad(s.x, y, zeta)
            (y,) = w.mix(y)
            y = y - at(self.beta, t) * v
        Q = self._inverse_times_jacobian(t, s.x, y, s.Q, w, zetas[self.T_y :])
        u_x, u_y = w.f.grad(s.x, y, w.draw.xi(t))
        direction = u_x - (u_y[:, None] @ Q.reshape(len(Q), y.shape[1], -1))[:, 0]
        (x,) = w.mix(s.x)
        return self.State(x - at(self.alpha, t) * direction, y, Q)

    def _inverse_times_jacobian(
        self, t: int, x: Tensor, y: Tensor, Q: Tensor, w: World, zetas: list[Any]
    ) -> Tensor:
        """Return Q after the loop on ½ tr(QᵀHQ) - tr(JQ) with tracked directions."""
        # J applied to the k-th unit vector is the k-th row of Jᵀ.
        units = torch.eye(y.shape[1], dtype=y.dtype, device=y.device)[:, None].expand(-1, *y.shape)
        J = w.g.at(x, y, w.draw.zeta(t)).jac(units).transpose(0, 1).flatten(1)
        D = S_ = torch.zeros_like(Q)
        for zeta in zetas:
            columns = Q.reshape(*y.shape, -1).permute(2, 0, 1)
            S = w.g.at(x, y, zeta).hess(columns).permute(1, 2, 0).flatten(1) - J
            Q, D = w.mix(Q, D)
            D = D + S - S_
            Q, S_ = Q - at(self.gamma, t) * D, S
        return Q
