"""INTERACT and SVR-INTERACT: tracked hypergradients of personal lower levels.

    x_i <- sum_j w_ij x_j - alpha_t u_i
    y_i <- y_i - beta_t v_i
    u_i <- sum_j w_ij u_j + p_i - p'_i

p_i is an agent's own hypergradient and v_i = ∇₂g_i, at the newest x_i and y_i, a prime marks the
previous iterate. INTERACT computes both afresh. SVR-INTERACT does so from q draws in every q-th
iteration, and in between corrects both by one draw at the new and the old point:

    p_i <- p'_i + q_i - q'_i,           v_i <- v'_i + ∇₂g_i - ∇₂g'_i

Liu et al. 2022, from its abstract and the tables of others, not from its text: certain are the
tracker, the correction, a restart every q iterations and what is sent. Both are meant for finite
sums. The paper's INTERACT takes full gradients, which is the case here where a draw is everything;
its restarts are full, here q draws. The paper inverts Hessians, here all K terms of a Neumann
series stand for the inverse and leave (1 - mu/L)^K of it. Derived in book/table.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from dsbo.algorithms.base import Cost, Momenta
from dsbo.algorithms.diamond import DIAMOND, Tracked
from dsbo.algorithms.dsgd import GTSGD
from dsbo.hypergrad import Chain
from dsbo.schedules import Constant, Schedule, at
from dsbo.world import World


@dataclass(frozen=True)
class INTERACT(GTSGD):
    """Inner gradient descent, outer tracked gradient.

    See `Momenta` for the parameters.
    """

    full_sum: bool = True

    title: ClassVar[str] = "INTERACT"
    source: ClassVar[str] = "Liu et al. 2022"
    colour: ClassVar[str] = "#627EFF"
    cost: ClassVar[Cost] = Cost("2*d", lower_grads="inner", hvps="chain")


@dataclass(frozen=True)
class SVRINTERACT(DIAMOND):
    """INTERACT with recursive estimates that restart every q iterations.

    Parameters
    ----------
    alpha, beta, K, L, full_sum
        As in `Momenta`.
    q : int
        Iterations from restart to restart, and draws of a restart; for n samples the paper takes
        the root of n.
    """

    eta: float | Schedule = field(default=Constant(0.0), init=False)
    gamma: float | Schedule = field(default=Constant(0.0), init=False)
    full_sum: bool = True
    q: int = 10
    inner: int = field(default=1, init=False, metadata={"told": "unless default"})

    roles: ClassVar[dict[str, str]] = Momenta.roles
    title: ClassVar[str] = "SVR-INTERACT"
    source: ClassVar[str] = "Liu et al. 2022"
    colour: ClassVar[str] = "#09049C"
    cost: ClassVar[Cost] = Cost("2*d", "1", "3 - 2/q", "3 - 2/q", "3 - 2/q", "(3 - 2/q)*chain")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_counts("q")

    def step(self, t: int, s: Tracked, w: World) -> Tracked:
        """Return the State of iteration t + 1."""
        if t % self.q:
            return super().step(t, s, w)
        p, v = self._restart(t, s, w)
        x, u = w.mix(s.x, push=(s.u,))
        u = u + p - s.p
        return self.State(x - at(self.alpha, t) * u, s.y - at(self.beta, t) * v, p, v, u, s.x, s.y)

    def _restart(self, t: int, s: Tracked, w: World) -> tuple[Tensor, Tensor]:
        """Return the means of q independent estimates."""
        xis, zetas = w.draw.xis(t, self.q), w.draw.zetas(t, self.q * (self.K + 1))
        k = w.draw.chain(t, self.K).k
        found = [
            self.estimates(w, s.x, s.y, Chain(xi, tuple(zetas[self.q + b :: self.q]), k), zetas[b])
            for b, xi in enumerate(xis)
        ]
        p, v = (torch.stack(parts).mean(0) for parts in zip(*found, strict=True))
        return p, v
