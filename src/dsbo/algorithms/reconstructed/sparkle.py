"""SPARKLE: one loop in which every level corrects its own heterogeneity, each in its own way.

    y_i: direction v_i at (x, y)                                          lower
    z_i: direction H_i z_i - u_y,i at (x, new y)                          auxiliary
    h_i <- (1 - theta_t) h_i + theta_t (u_x,i - J_i z_i)                  at (x, new y, new z)
    x_i: direction h_i                                                    upper

A strategy moves the iterate S of a level along a direction G and is one choice of A, B, C in

    S <- A (C S - a G) - B D,    D <- D + B S,    D = 0 at first:

    strategy      A     B             C      sends
    ED            W     (I - W)^1/2   I      one vector
    EXTRA         I     (I - W)^1/2   W      one
    ATC-GT        W²    I - W         I      two, in two rounds
    semi-ATC-GT   W     I - W         W      two
    non-ATC-GT    I     I - W         W²     two

Every B vanishes on agents that agree, so all rest at the solution however different they are. The
forms below need no root of a matrix and keep one vector e a level besides S. They stay at the
solution in single precision too: in one process what all agents share passes a round unrounded, and
between processes the rows of the rounded weights sum to exactly one.

Zhu et al. 2024, from the abstract and the single-level framework of Alghunaim and Yuan 2022, not
from the paper's text: certain are the strategies and their A, B, C; the order of the levels, each
using what is new, is reconstructed. Derived in book/sparkle.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dsbo.algorithms.base import UNAVERAGED, Algorithm, Cost, Lower, Upper
from dsbo.mixing import lambda_min
from dsbo.schedules import Schedule, at
from dsbo.spectra import extremes, symmetric
from dsbo.stochastic import Weighted, require_balance
from dsbo.world import Mixer, World

Move = Callable[[Mixer, Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]
"""(mix, S, e, G, a) -> the next S and e, ``[n, ·]`` each; e is zero at first."""


def exact_diffusion(mix: Mixer, S: Tensor, e: Tensor, G: Tensor, a: float) -> tuple[Tensor, Tensor]:
    """Return S and e after S <- W (S - a G + e); e is S minus the S - a G of before."""
    adapted = S - a * G
    (moved,) = mix(adapted + e)
    return moved, moved - adapted


def extra(mix: Mixer, S: Tensor, e: Tensor, G: Tensor, a: float) -> tuple[Tensor, Tensor]:
    """Return S and e after S <- W S - a G - e; e is the sum of all S - W S."""
    (mixed,) = mix(S)
    e = e + S - mixed
    return mixed - a * G - e, e


def atc_tracking(mix: Mixer, S: Tensor, e: Tensor, G: Tensor, a: float) -> tuple[Tensor, Tensor]:
    """Return S and e after T <- W (e + G), S <- W (S - a T); e is T - G."""
    (T,) = mix(push=(e + G,))
    (S,) = mix(S - a * T)
    return S, T - G


def semi_atc_tracking(
    mix: Mixer, S: Tensor, e: Tensor, G: Tensor, a: float
) -> tuple[Tensor, Tensor]:
    """Return S and e after T = e + G, S <- W (S - a T); e is W T - G."""
    T = e + G
    S, mixed = mix(S - a * T, push=(T,))
    return S, mixed - G


def non_atc_tracking(
    mix: Mixer, S: Tensor, e: Tensor, G: Tensor, a: float
) -> tuple[Tensor, Tensor]:
    """Return S and e after T = e + G, S <- W S - a T; e is W T - G."""
    T = e + G
    S, mixed = mix(S, push=(T,))
    return S - a * T, mixed - G


STRATEGIES: dict[str, Move] = {
    "ED": exact_diffusion,
    "EXTRA": extra,
    "ATC-GT": atc_tracking,
    "semi-ATC-GT": semi_atc_tracking,
    "non-ATC-GT": non_atc_tracking,
}


class Corrected(NamedTuple):
    """The variables: iterates, moving average h and what the strategies remember."""

    x: Upper
    y: Lower
    z: Lower
    h: Upper
    e_x: Upper
    e_y: Lower
    e_z: Lower


@dataclass(frozen=True)
class SPARKLE(Algorithm):
    """Single-loop primal-dual bilevel framework, for a shared lower level.

    Parameters
    ----------
    alpha, beta, gamma : float or Schedule
        Steps of x, y and z. A step that varies breaks the exactness of ED and EXTRA slightly.
    theta : float or Schedule
        Weight of the newest direction in the moving average h, in [0, 1].
    upper, lower, auxiliary : str
        Strategies of x, y and z: ``"ED"``, ``"EXTRA"``, ``"ATC-GT"``, ``"semi-ATC-GT"`` or
        ``"non-ATC-GT"``. The paper's SPARKLE-L-U has L for y and z and U for x.

    Raises
    ------
    ValueError
        If a strategy is unknown; when run, if a level's weights make its strategy unstable.
    """

    alpha: float | Schedule
    beta: float | Schedule
    gamma: float | Schedule
    theta: float | Schedule = UNAVERAGED
    upper: str = "ED"
    lower: str = "ED"
    auxiliary: str = "ED"

    State: ClassVar[type[Corrected]] = Corrected
    vectors: ClassVar[dict[str, int]] = {
        name: 1 if name in ("ED", "EXTRA") else 2 for name in STRATEGIES
    }
    trips: ClassVar[dict[str, int]] = {name: 1 + (name == "ATC-GT") for name in STRATEGIES}
    title: ClassVar[str] = "SPARKLE"
    source: ClassVar[str] = "Zhu et al. 2024"
    colour: ClassVar[str] = "#69BA8B"
    cost: ClassVar[Cost] = Cost(
        "vectors[upper]*d + (vectors[lower] + vectors[auxiliary])*p",
        "trips[upper] + trips[lower] + trips[auxiliary]",
    )
    projectable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for level in ("upper", "lower", "auxiliary"):
            require_known(getattr(self, level), f"{level} strategy")

    @property
    def tracking(self) -> bool:  # type: ignore[override]
        """Whether all levels track."""
        return all(self.vectors[k] == 2 for k in (self.upper, self.lower, self.auxiliary))

    def fits(self, x: Weighted, y: Weighted, z: Weighted) -> None:
        """Raise a ValueError, with a remedy, if weights make a strategy unstable at any step."""
        strategies = (self.upper, self.lower, self.auxiliary)
        for level, strategy, network in zip("xyz", strategies, (x, y, z), strict=True):
            tracks = self.vectors[strategy] == 2
            require_balance(network, tracks, f"{type(self).__name__} with {strategy} on {level}")
            require_stable(network, strategy, level)

    def step(self, t: int, s: Corrected, w: World) -> Corrected:
        """Return the State of iteration t + 1."""
        upper, lower, auxiliary = (
            STRATEGIES[name] for name in (self.upper, self.lower, self.auxiliary)
        )
        xi, zeta = w.draw.xi(t), w.draw.zeta(t)
        _, v = w.g.grad(s.x, s.y, zeta)
        y, e_y = lower(w.mix_y, s.y, s.e_y, v, at(self.beta, t))
        u_x, u_y = w.f.grad(s.x, y, xi)
        g = w.g.at(s.x, y, zeta)
        z, e_z = auxiliary(w.mix_z, s.z, s.e_z, g.hess(s.z) - u_y, at(self.gamma, t))
        h = s.h.lerp(u_x - g.jac(z), at(self.theta, t))
        x, e_x = upper(w.mix, s.x, s.e_x, h, at(self.alpha, t))
        return self.State(x, y, z, h, e_x, e_y, e_z)


def require_known(strategy: object, name: str) -> None:
    """Raise a ValueError, which names the setting, if a strategy is none of `STRATEGIES`."""
    if not isinstance(strategy, str) or strategy not in STRATEGIES:
        known = ", ".join(STRATEGIES)
        raise ValueError(f"the {name} {strategy!r} is unknown; take {known}")


def largest_root(W: NDArray[np.float64], strategy: str) -> float:
    """Return by what a strategy multiplies the slowest disagreement at vanishing steps.

    ED and EXTRA: the largest root of r² - 2 λ r + λ over the eigenvalues λ of W but the first;
    tracking: the largest modulus of these. 0 for a single agent.
    """
    # A root grows with the distance of λ to zero, so of real eigenvalues the outermost tell; of
    # others all are asked, and the first, 1, becomes 0.
    values = np.array(extremes(W)) if symmetric(W) else np.linalg.eigvals(W - 1 / len(W))
    if strategy not in ("ED", "EXTRA"):
        return float(np.abs(values).max())
    split = np.sqrt(values.astype(complex) ** 2 - values)
    return float(max(np.abs(values + split).max(), np.abs(values - split).max()))


def require_stable(network: Weighted, strategy: str, level: str) -> None:
    """Raise a ValueError, with a remedy, if the weights of a level make a strategy unstable."""
    W = network.W
    if network.varies and strategy in ("ED", "EXTRA"):
        raise ValueError(
            f"{strategy} on {level} is derived for weights that stay, and these change from round "
            "to round; use ATC-GT, or a network whose weights stay"
        )
    growth = largest_root(W, strategy)
    if growth < 1 - 1e-9:
        return
    remedy = "mixing.lazy(W)" if symmetric(W) else "the symmetric (W + W.T) / 2"
    raise ValueError(
        f"{strategy} on {level} is unstable on these weights, whatever the step: a mode grows by "
        f"{growth:.4g} an iteration (lambda_min = {lambda_min(W):.4g}; ED and EXTRA need more than "
        f"-1/3 and symmetry); use {remedy}, or ATC-GT"
    )
