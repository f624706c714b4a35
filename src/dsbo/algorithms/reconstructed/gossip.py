"""Gossip-DSBO: moving averages of all derivatives, matrices among them, are mixed.

    x_i <- sum_j w_ij x_j - alpha_t (s_i - J_i q_i)
    y_i <- sum_j w_ij y_j - gamma_t v_i
    s_i <- (1 - theta_t) sum_j w_ij s_j + theta_t u_x,i           r_i likewise with u_y
    J_i <- (1 - theta_t) sum_j w_ij J_j + theta_t ∇²₁₂g_i         d × p
    V_il <- (1 - theta_t) sum_j w_ij V_jl + theta_t ∇²₂₂g_i       p × p, K independent copies
    q_i = 1/L sum_(k=0..K) prod_(l<=k) (I - V_il / L) r_i         with the averages of before

Yang, Zhang and Wang 2022, from memory and reviews, not from its text: certain are the moving
averages that are mixed, the K independent copies of the Hessian, the series and what is sent; the
order of the lines is reconstructed, and the matrices are stored as they are sent, J by the rows of
its transpose. Derived in book/table.md.
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


class Averages(NamedTuple):
    """The variables: iterates and the moving averages.

    ``J`` is ``[n, p d]`` and ``V`` ``[n, K p p]``.
    """

    x: Upper
    y: Lower
    s: Upper
    r: Lower
    J: Tensor
    V: Tensor


@dataclass(frozen=True)
class GossipDSBO(Algorithm):
    """Bilevel optimization by mixed Jacobians and Hessians, for a shared lower level.

    Parameters
    ----------
    alpha, gamma : float or Schedule
        Steps of x and y.
    theta : float or Schedule
        Weight of the newest derivatives in the moving averages, in [0, 1].
    copies : int
        K, independent Hessians and terms of the series after the first, at least 1.
    L : float
        Bound on the largest eigenvalue of every lower Hessian.

    Raises
    ------
    MemoryError
        When run, if the agents' matrices do not fit into memory.
    """

    alpha: float | Schedule
    gamma: float | Schedule
    theta: float | Schedule
    copies: int
    L: float

    State: ClassVar[type[Averages]] = Averages
    title: ClassVar[str] = "Gossip-DSBO"
    source: ClassVar[str] = "Yang, Zhang and Wang 2022"
    colour: ClassVar[str] = "#519CC1"
    roles: ClassVar[dict[str, str]] = {
        "alpha": "upper",
        "gamma": "lower",
        "theta": "average",
        "copies": "terms",
        "L": "bound",
    }
    inverts: ClassVar[str] = "mean"
    cost: ClassVar[Cost] = Cost("2*d + 2*p + d*p + copies*p*p", jvps="p", hvps="copies*p")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_counts("copies")
        self.require_positive("L")

    def init(self, x: Tensor, y: Tensor) -> Averages:
        """Return the start: x and y as given, all averages zero."""
        (n, d), p = x.shape, y.shape[1]
        numbers = p * d + self.copies * p * p
        # Measured at the peak of an iteration: the averages, what is new, and half of it in parts.
        needed = 5 * n * numbers * x.element_size() // 2
        require(needed, f"Gossip-DSBO's {numbers} numbers in matrices of {n} agents", x.device)
        J, V = x.new_zeros(n, p * d), x.new_zeros(n, self.copies * p * p)
        return self.State(x, y, x.new_zeros(n, d), y.new_zeros(n, p), J, V)

    def step(self, t: int, s: Averages, w: World) -> Averages:
        """Return the State of iteration t + 1."""
        zeta, theta = w.draw.zeta(t), at(self.theta, t)
        new = *w.f.grad(s.x, s.y, w.draw.xi(t)), *self._matrices(t, s, w, zeta)
        _, v = w.g.grad(s.x, s.y, zeta)
        q = self._series(s)
        Jq = (q[:, None] @ s.J.reshape(len(q), q.shape[1], -1))[:, 0]
        x, y, *mixed = w.mix(*s)
        averages = (old.lerp(fresh, theta) for old, fresh in zip(mixed, new, strict=True))
        return self.State(x - at(self.alpha, t) * (s.s - Jq), y - at(self.gamma, t) * v, *averages)

    def _matrices(self, t: int, s: Averages, w: World, zeta: Any) -> tuple[Tensor, Tensor]:
        """Return ∇²₁₂g by the rows of its transpose, and K independent ∇²₂₂g."""
        units = torch.eye(s.y.shape[1], dtype=s.y.dtype, device=s.y.device)
        units = units[:, None].expand(-1, *s.y.shape)
        J = w.g.at(s.x, s.y, zeta).jac(units)
        samples = w.draw.zetas(t, self.copies)
        V = torch.cat([w.g.at(s.x, s.y, sample).hess(units) for sample in samples])
        return J.transpose(0, 1).flatten(1), V.transpose(0, 1).flatten(1)

    def _series(self, s: Averages) -> Tensor:
        """Return q, ``[n, p]``: the averaged inverse Hessian times r."""
        n, p = s.y.shape
        total = term = s.r / self.L
        for V in s.V.reshape(n, self.copies, p, p).unbind(1):
            term = term - (V @ term[..., None])[..., 0] / self.L
            total = total + term
        return total
