"""DIAMOND: recursive momentum on both levels, gradient tracking on the upper one.

    p_i <- q_i + (1 - eta_t) (p_i - q'_i)                          (6)
    v_i <- ∇₂g_i + (1 - gamma_t) (v_i - ∇₂g'_i)                    (7)
    u_i <- sum_j w_ij u_j + p_i - p'_i                             (8)
    x_i <- sum_j w_ij x_j - alpha_t u_i                            (9)
    y_i <- y_i - beta_t v_i                                        (10)

q is the Neumann estimate (5) of an agent's own hypergradient; a prime marks the previous iterate,
and q' and ∇₂g' take the samples of q and ∇₂g. Leaving out the primes of (6) and (7), or (8), gives
the three methods of `dsbo.algorithms.dsgd`.

Qiu et al. 2023, Algorithm 1. Derived in book/diamond.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

from dsbo.algorithms.base import Cost, Lower, Momenta, Upper
from dsbo.schedules import Momentum, Power, at
from dsbo.world import World


class Tracked(NamedTuple):
    """The variables: iterates, momenta ``p v``, tracker ``u`` and the previous iterates."""

    x: Upper
    y: Lower
    p: Upper
    v: Lower
    u: Upper
    x_: Upper
    y_: Lower


@dataclass(frozen=True)
class DIAMOND(Momenta):
    """Decentralized single-timescale method with momentum and gradient tracking.

    For personal lower levels.

    Parameters
    ----------
    alpha, beta, eta, gamma, K, L, full_sum
        As in `Momenta`; `published` makes the paper's schedules.
    inner : int
        Steps of y an iteration, each with a sample of its own; all but the last are plain, and the
        estimates are taken after them. With one agent D-SGD and INTERACT are then BSA and stocBiO,
        whose estimates come one lower step later: book/single-agent.md.
    """

    inner: int = field(default=1, kw_only=True, metadata={"told": "unless default"})

    State: ClassVar[type[Tracked]] = Tracked
    title: ClassVar[str] = "DIAMOND"
    source: ClassVar[str] = "Qiu et al. 2023, Algorithm 1"
    colour: ClassVar[str] = "#954001"
    cost: ClassVar[Cost] = Cost("2*d", "1", "2", "inner + 1", "2", "2*chain")
    roles: ClassVar[dict[str, str]] = Momenta.roles | {"eta": "recursive", "gamma": "recursive"}
    shared_lower: ClassVar[bool] = False
    momentum: ClassVar[bool] = True
    tracking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_counts("inner")

    @classmethod
    def published(
        cls,
        c_alpha: float,
        c_beta: float,
        c_eta: float,
        c_gamma: float,
        K: int,
        L: float,
        omega: float = 2.0,
        full_sum: bool = False,
    ) -> Self:
        """Return the method with the paper's rules for its steps.

            α_t = c_α (ω + t)^(-1/3)    β_t = c_β α_t    η_{t+1} = c_η α_t²    γ_{t+1} = c_γ α_t²

        η and γ are cut at 1 and start there. A method without momentum ignores them.
        """
        alpha = Power(c_alpha, omega, 1 / 3)
        beta = Power(c_beta * c_alpha, omega, 1 / 3)
        steps: dict[str, Any] = {"alpha": alpha, "beta": beta, "K": K, "L": L}
        if cls.momentum:
            steps |= {"eta": Momentum(c_eta, alpha), "gamma": Momentum(c_gamma, alpha)}
        return cls(**steps, full_sum=full_sum)

    def step(self, t: int, s: Tracked, w: World) -> Tracked:
        """Return the State of iteration t + 1."""
        s = self._lowered(t, s, w)  # nothing, where inner is 1
        chain, zeta = w.draw.chain(t, self.K), w.draw.zeta(t)
        p, v = self.estimates(w, s.x, s.y, chain, zeta)  # (5)
        if self.momentum:
            q_, v_ = self.estimates(w, s.x_, s.y_, chain, zeta)
            p = p + (1 - at(self.eta, t)) * (s.p - q_)  # (6)
            v = v + (1 - at(self.gamma, t)) * (s.v - v_)  # (7)
        if self.tracking:
            x, u = w.mix(s.x, push=(s.u,))
            u = u + p - s.p  # (8)
        else:
            (x,), u = w.mix(s.x), p
        x = x - at(self.alpha, t) * u  # (9)
        y = s.y - at(self.beta, t) * v  # (10)
        return self.State(x, y, p, v, u, s.x, s.y)

    def _lowered(self, t: int, s: Tracked, w: World) -> Tracked:
        """Return the State after all but the last of the lower steps."""
        y = s.y
        for zeta in w.draw.zetas(t, self.inner - 1) if self.inner > 1 else ():
            y = y - at(self.beta, t) * w.g.grad(s.x, y, zeta)[1]
        return s._replace(y=y)
