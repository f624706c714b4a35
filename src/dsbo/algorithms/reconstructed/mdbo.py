"""MDBO and VRDBO: momentum and gradient tracking on both levels, each agent with its own Hessian.

    u_i <- (1 - eta_t) u_i + eta_t q_i                             MDBO
    u_i <- q_i + (1 - eta_t) (u_i - q'_i)                          VRDBO
    p_i <- sum_j w_ij p_j + u_i - u'_i
    x_i <- x_i + r (sum_j w_ij x_j - alpha_t p_i - x_i)

and the same for y with v, ∇₂g, gamma, s and beta. q is the Neumann estimate of an agent's own
hypergradient; a prime marks the previous iterate. The methods rest where the mean of these own
hypergradients is zero, which is where ∇Φ is only if the second derivatives of all g_i agree.

Gao, Gu and Thai 2023, from memory and the tables of others, not from its text: certain are the two
trackers, the momenta, the local estimate and what is sent; the order of the lines is
reconstructed. The paper writes beta_1, beta_2 for alpha, beta, eta for r, and the products
alpha_1 eta, alpha_2 eta (MDBO) or alpha_1 eta², alpha_2 eta² (VRDBO) for eta, gamma. Derived in
book/baselines.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from dsbo.algorithms.base import Cost, Lower, Momenta, Upper
from dsbo.schedules import at
from dsbo.world import World


class TrackedPair(NamedTuple):
    """The variables: iterates, momenta ``u v``, trackers ``p s`` and the previous iterates."""

    x: Upper
    y: Lower
    u: Upper
    v: Lower
    p: Upper
    s: Lower
    x_: Upper
    y_: Lower


@dataclass(frozen=True)
class MDBO(Momenta):
    """Momentum-based distributed bilevel optimization, for a shared lower level.

    Parameters
    ----------
    alpha, beta, eta, gamma, K, L, full_sum
        As in `Momenta`.
    relaxation : float
        r, the share of an update that is taken, in (0, 1].
    """

    relaxation: float = 1.0

    State: ClassVar[type[TrackedPair]] = TrackedPair
    title: ClassVar[str] = "MDBO"
    source: ClassVar[str] = "Gao, Gu and Thai 2023"
    colour: ClassVar[str] = "#D55E00"
    cost: ClassVar[Cost] = Cost("2*(d + p)", hvps="chain")
    recursive: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("relaxation")
        if self.relaxation > 1:
            raise ValueError(f"relaxation must be at most 1, got {self.relaxation}")

    def step(self, t: int, s: TrackedPair, w: World) -> TrackedPair:
        """Return the State of iteration t + 1."""
        chain, zeta = w.draw.chain(t, self.K), w.draw.zeta(t)
        q, g = self.estimates(w, s.x, s.y, chain, zeta)
        if self.recursive:
            q_, g_ = self.estimates(w, s.x_, s.y_, chain, zeta)
            u = q + (1 - at(self.eta, t)) * (s.u - q_)
            v = g + (1 - at(self.gamma, t)) * (s.v - g_)
        else:
            u, v = s.u.lerp(q, at(self.eta, t)), s.v.lerp(g, at(self.gamma, t))
        x, y, p, tracker = w.mix(s.x, s.y, s.p, s.s)
        p, tracker = p + u - s.u, tracker + v - s.v
        x = s.x.lerp(x - at(self.alpha, t) * p, self.relaxation)
        y = s.y.lerp(y - at(self.beta, t) * tracker, self.relaxation)
        return self.State(x, y, u, v, p, tracker, s.x, s.y)


@dataclass(frozen=True)
class VRDBO(MDBO):
    """MDBO with recursive momentum: the newest samples are also taken at the previous iterate.

    See `MDBO` for the parameters; as in DIAMOND, eta and gamma should be 1 at t = 0.
    """

    title: ClassVar[str] = "VRDBO"
    source: ClassVar[str] = "Gao, Gu and Thai 2023"
    colour: ClassVar[str] = "#CC79A7"
    cost: ClassVar[Cost] = Cost("2*(d + p)", "1", "2", "2", "2", "2*chain")
    recursive: ClassVar[bool] = True
