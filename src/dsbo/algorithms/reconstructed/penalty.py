"""D-F2SA: a penalty and two lower copies, so that first derivatives are enough.

With y the copy that minimises g and y_lam the one that minimises f + λ g, at (x_i, y_i, y_lam,i)

    D_x = ∇₁f_i(x, y_lam) + λ_t (∇₁g_i(x, y_lam) - ∇₁g_i(x, y))      lower sample ζ_i in every ∇g_i
    D_y = ∇₂g_i(x, y)
    D_λ = ∇₂g_i(x, y_lam) + ∇₂f_i(x, y_lam) / λ_t
    (x, y, y_lam)_i: direction (alpha_t D_x, beta_t D_y, beta_t D_λ)     by a strategy of `sparkle`

In z = λ (y - y_lam) it is first-order D-SOBA with a difference of 1 / λ and ∇f at y - z / λ. So it
rests beside the solution, at a distance of order 1 / λ that the strategy does not change. Both
copies step alike and use one sample: then what they share cancels, but λ times any difference of
steps or of samples would be left in D_x. λ that changes moves z, so it should grow slowly.

For one agent, certain from public code are both copies and the three directions: F2SA of Kwon et
al. 2023, which may step and sample the copies apart. For several agents no paper's text was at hand
and the mixing is reconstructed; DSGDA-GT of Wang et al. 2024 is, as far as its abstract tells,
semi-ATC-GT. Derived in book/penalty.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from dsbo.algorithms.base import Algorithm, Cost, Lower, Upper
from dsbo.algorithms.reconstructed.sparkle import (
    SPARKLE,
    STRATEGIES,
    require_known,
    require_stable,
)
from dsbo.checked import positive
from dsbo.schedules import Schedule, at
from dsbo.stochastic import Weighted
from dsbo.world import World


class Penalised(NamedTuple):
    """The variables: x, both lower copies, and what the strategy remembers of each."""

    x: Upper
    y: Lower
    y_lam: Lower
    e_x: Upper
    e_y: Lower
    e_lam: Lower


@dataclass(frozen=True)
class DF2SA(Algorithm):
    """Decentralized fully first-order stochastic approximation, for a shared lower level.

    Parameters
    ----------
    alpha, beta : float or Schedule
        Steps of x and of both lower copies. A step that varies breaks the exactness of ED and
        EXTRA slightly.
    lam : float or Schedule
        Weight λ of the lower level against f, positive. The distance of x to the solution is of
        order 1 / λ; λ times the machine epsilon is lost of the digits of its direction. One that
        grows is a frozen dataclass with ``__call__(t)``, so that a run can resume.
    strategy : str
        Of all levels: ``"ED"``, ``"EXTRA"``, ``"ATC-GT"``, ``"semi-ATC-GT"`` or ``"non-ATC-GT"``.

    Raises
    ------
    ValueError
        If λ is not positive or the strategy unknown; when run, if the weights make it unstable.
    """

    alpha: float | Schedule
    beta: float | Schedule
    lam: float | Schedule = 100.0
    strategy: str = "ED"

    State: ClassVar[type[Penalised]] = Penalised
    roles: ClassVar[dict[str, str]] = {"alpha": "upper", "beta": "lower"}
    vectors: ClassVar[dict[str, int]] = SPARKLE.vectors
    trips: ClassVar[dict[str, int]] = SPARKLE.trips
    title: ClassVar[str] = "D-F2SA"
    source: ClassVar[str] = "Kwon et al. 2023, decentralized"
    colour: ClassVar[str] = "#4F7D8F"
    cost: ClassVar[Cost] = Cost(
        "vectors[strategy]*(d + 2*p)", "trips[strategy]", lower_grads="2", jvps="0", hvps="0"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_known(self.strategy, "strategy")

    @property
    def tracking(self) -> bool:  # type: ignore[override]
        """Whether the strategy tracks."""
        return self.vectors[self.strategy] == 2

    def require_steps(self, t: int) -> None:
        """Raise a TypeError or ValueError if a step of iteration t is none or λ is not positive."""
        positive(at(self.lam, t), f"{type(self).__name__}.lam at t = {t}")
        super().require_steps(t)

    def fits(self, x: Weighted, y: Weighted, z: Weighted) -> None:
        """Raise a ValueError, with a remedy, if there are several networks, or unstable weights."""
        super().fits(x, y, z)
        require_stable(x, self.strategy, "all levels")

    def init(self, x: Tensor, y: Tensor) -> Penalised:
        """Return the first State, in which both copies are y."""
        zero = torch.zeros_like(y)
        return self.State(x, y, y, torch.zeros_like(x), zero, zero)

    def step(self, t: int, s: Penalised, w: World) -> Penalised:
        """Return the State of iteration t + 1."""
        a, b, lam = at(self.alpha, t), at(self.beta, t), at(self.lam, t)
        zeta = w.draw.zeta(t)
        u_x, u_y = w.f.grad(s.x, s.y_lam, w.draw.xi(t))
        v_x, v = w.g.grad(s.x, s.y, zeta)
        p_x, p_y = w.g.grad(s.x, s.y_lam, zeta)
        D = torch.cat([a * (u_x + lam * (p_x - v_x)), b * v, b * (p_y + u_y / lam)], 1)
        S, e = torch.cat(s[:3], 1), torch.cat(s[3:], 1)
        S, e = STRATEGIES[self.strategy](w.mix, S, e, D, 1.0)  # the levels in one message
        sizes = [part.shape[1] for part in s[:3]]
        return self.State(*torch.split(S, sizes, 1), *torch.split(e, sizes, 1))
