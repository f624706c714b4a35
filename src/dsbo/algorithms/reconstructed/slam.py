"""SLAM: a linearised augmented Lagrangian for consensus on both levels.

    y_i <- sum_j w_ij y_j - beta_t ∇₂g_i - e_i,         e_i <- e_i + y_i - sum_j w_ij y_j
    x_i likewise with alpha_t and q_i

A step on the Lagrangian of agents that must agree, with multipliers on the links and a penalty c on
disagreement, is this step with W = I - alpha c (Laplacian): SPARKLE's EXTRA, at both levels. q is
the Neumann estimate of an agent's own hypergradient, so the method rests where the mean of these
is zero, as MDBO does; that is where ∇Φ is zero if the second derivatives of all g_i agree.

Lu et al. 2022, from its abstract and the tables of others, not from its text: certain are consensus
by an augmented Lagrangian on both levels, the series, and what is sent. The order of the lines, and
W given in place of alpha c, are reconstructed. Derived in book/table.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from dsbo.algorithms.base import Cost, Lower, Momenta, Upper
from dsbo.algorithms.reconstructed.sparkle import extra, require_stable
from dsbo.schedules import Constant, Schedule, at
from dsbo.stochastic import Weighted
from dsbo.world import World


class Multiplied(NamedTuple):
    """The variables, and what their multipliers add: ``e``, the sum of all disagreements so far."""

    x: Upper
    y: Lower
    e_x: Upper
    e_y: Lower


@dataclass(frozen=True)
class SLAM(Momenta):
    """Stochastic linearised augmented Lagrangian method, for a shared lower level.

    Parameters
    ----------
    alpha, beta, K, L, full_sum
        As in `Momenta`; eta and gamma are 1.
    """

    eta: float | Schedule = field(default=Constant(1.0), init=False)
    gamma: float | Schedule = field(default=Constant(1.0), init=False)

    State: ClassVar[type[Multiplied]] = Multiplied
    title: ClassVar[str] = "SLAM"
    source: ClassVar[str] = "Lu et al. 2022"
    colour: ClassVar[str] = "#5869A2"
    cost: ClassVar[Cost] = Cost("d + p", "2", hvps="chain")

    def fits(self, x: Weighted, y: Weighted, z: Weighted) -> None:
        """Raise a ValueError, with a remedy, if weights make EXTRA unstable at any step."""
        super().fits(x, y, z)
        require_stable(x, "EXTRA", "x and y")

    def step(self, t: int, s: Multiplied, w: World) -> Multiplied:
        """Return the State of iteration t + 1."""
        q, v = self.estimates(w, s.x, s.y, w.draw.chain(t, self.K), w.draw.zeta(t))
        x, e_x = extra(w.mix, s.x, s.e_x, q, at(self.alpha, t))
        y, e_y = extra(w.mix, s.y, s.e_y, v, at(self.beta, t))
        return self.State(x, y, e_x, e_y)
