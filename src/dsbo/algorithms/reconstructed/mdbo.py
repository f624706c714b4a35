"""MDBO and VRDBO: momentum and gradient tracking on both levels, each agent with its own Hessian.

    u_i <- (1 - eta_t) u_i + eta_t q_i                             MDBO
    u_i <- q_i + (1 - eta_t) (u_i - q'_i)                          VRDBO
    p_i <- sum_j w_ij p_j + u_i - u'_i
    x_i <- x_i + r (sum_j w_ij x_j - alpha_t p_i - x_i)

and the same for y with v, ∇₂g, gamma, s and beta. q is the Neumann estimate of an agent's own
hypergradient; a prime marks the previous iterate. The first iteration has u = q, v = ∇₂g, p = u
and s = v, whatever eta and gamma are. The methods rest where the mean of these own hypergradients
is zero, which is where ∇Φ is only if the second derivatives of all g_i agree; their paper assumes
that all agents have data of one distribution.

Gao, Gu and Thai 2023, Algorithms 1 and 2, which write beta_1, beta_2 for alpha, beta, eta for r,
and the products alpha_1 eta, alpha_2 eta (MDBO) or alpha_1 eta², alpha_2 eta² (VRDBO) for eta,
gamma. VRDBO's first batch is a larger one there. Derived in book/baselines.md.
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
        As in `Momenta`; eta and gamma are not asked for at t = 0, where they count as 1.
    relaxation : float
        r, the share of an update that is taken, in (0, 1].
    """

    relaxation: float = 1.0

    State: ClassVar[type[TrackedPair]] = TrackedPair
    title: ClassVar[str] = "MDBO"
    source: ClassVar[str] = "Gao, Gu and Thai 2023"
    colour: ClassVar[str] = "#633620"
    cost: ClassVar[Cost] = Cost("2*(d + p)", hvps="chain")
    tracking: ClassVar[bool] = True
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
        eta, gamma = (at(self.eta, t), at(self.gamma, t)) if t else (1.0, 1.0)
        if self.recursive:
            q_, g_ = self.estimates(w, s.x_, s.y_, chain, zeta)
            u, v = q + (1 - eta) * (s.u - q_), g + (1 - gamma) * (s.v - g_)
        else:
            u, v = s.u.lerp(q, eta), s.v.lerp(g, gamma)
        x, y, p, tracker = w.mix(s.x, s.y, push=(s.p, s.s))
        p, tracker = p + u - s.u, tracker + v - s.v
        x = s.x.lerp(x - at(self.alpha, t) * p, self.relaxation)
        y = s.y.lerp(y - at(self.beta, t) * tracker, self.relaxation)
        return self.State(x, y, u, v, p, tracker, s.x, s.y)


@dataclass(frozen=True)
class VRDBO(MDBO):
    """MDBO with recursive momentum: the newest samples are also taken at the previous iterate.

    See `MDBO` for the parameters.
    """

    title: ClassVar[str] = "VRDBO"
    source: ClassVar[str] = "Gao, Gu and Thai 2023"
    colour: ClassVar[str] = "#6B4646"
    cost: ClassVar[Cost] = Cost("2*(d + p)", "1", "2", "2", "2", "2*chain")
    roles: ClassVar[dict[str, str]] = Momenta.roles | {"eta": "recursive", "gamma": "recursive"}
    recursive: ClassVar[bool] = True
