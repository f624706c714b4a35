"""DSGD on the lower level alone, x at rest: what training without an upper level does.

    y_i <- sum_j w_ij (y_j - beta_t v_j)

Lian et al. 2017, combining after adapting. The yardstick of book/exp-cleaning.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from dsbo.algorithms.base import Algorithm, Cost, Lower, Upper
from dsbo.schedules import Schedule, at
from dsbo.world import World


class XY(NamedTuple):
    """The variables: upper, which stays, and lower."""

    x: Upper
    y: Lower


@dataclass(frozen=True)
class SingleLevelDSGD(Algorithm):
    """Decentralized stochastic gradient descent for min over y of mean_i g_i(x0, y).

    The y of D-SOBA with alpha = 0, at a third of its cost.

    Parameters
    ----------
    beta : float or Schedule
        Step of y.
    """

    beta: float | Schedule

    State: ClassVar[type[XY]] = XY
    title: ClassVar[str] = "DSGD"
    source: ClassVar[str] = "Lian et al. 2017"
    colour: ClassVar[str] = "#5A3CB0"
    cost: ClassVar[Cost] = Cost("p", "1", "0", "1", "0", "0")

    def step(self, t: int, s: XY, w: World) -> XY:
        """Return the State of iteration t + 1."""
        _, v = w.g.grad(s.x, s.y, w.draw.zeta(t))
        (y,) = w.mix(s.y - at(self.beta, t) * v)
        return self.State(s.x, y)
