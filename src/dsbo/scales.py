"""The sizes that steps depend on, measured at the start of a problem.

A pilot follows y*(x) and the auxiliary z*(x) at a fixed x by SOBA's steps, on the average of all
agents where they share the lower level. How its hypergradient changes with x tells the curvature
of Φ; Lanczos' method on products with batches' Hessians tells that of g.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from dsbo import keys
from dsbo.hypergrad import curvature
from dsbo.problems import Problem
from dsbo.world import Draws

SEED = 2**31
"""Of all draws, which no run is likely to have."""
PILOT, BATCHES, TURNS = 50, 3, 3
"""Iterations of a pilot; batches, and directions of x, whose curvature is looked at."""
NEAR = 0.05
"""How far x is moved, as a share of its largest coordinate, or of 1 if that is smaller."""


class Scales(NamedTuple):
    """What was measured at the start.

    Parameters
    ----------
    low, high : float
        Smallest and largest curvature of g on batches: of the mean of all agents where they share
        the lower level, else of any agent.
    own : float
        Largest curvature of a batch of one agent.
    phi : float
        Largest curvature of Φ along the directions tried.
    slope : float
        Largest coordinate of ∇Φ.
    reach : float
        Largest coordinate of x, at least 1.
    z : float
        Largest norm of an agent's auxiliary variable.
    drawn : bool
        Whether anything is drawn at random.
    """

    low: float
    high: float
    own: float
    phi: float
    slope: float
    reach: float
    z: float
    drawn: bool


def measured(problem: Problem, shared: bool, tick: Callable[[], object]) -> Scales:
    """Return what a pilot sees of a problem, and call ``tick`` after each of its iterations."""
    N, x, everyone = problem.agents, problem.x0, problem.everyone()
    draws = Draws(SEED, everyone, problem.upper, problem.lower)
    reach = max(1.0, float(x.abs().max()))

    def mean(rows: Tensor) -> Tensor:
        return rows.mean(0, keepdim=True)

    def curvatures(y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows, batches = x.expand(N, -1), [draws.zeta(t) for t in range(BATCHES)]
        own = [curvature(problem.g, rows, y, batch, None) for batch in batches]
        all_ = [curvature(problem.g, rows, y, batch, mean) for batch in batches] if shared else own
        low, high = (torch.cat(found) for found in zip(*all_, strict=True))
        return low.min(), high.max(), torch.cat([high for _, high in own]).max()

    def pilot(x: Tensor, y: Tensor, z: Tensor, step: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return y, z and the hypergradient, which is averaged over the second half."""
        rows, h = x.expand(N, -1), torch.zeros_like(x)
        for t in range(PILOT):
            u_x, u_y = problem.f.grad(rows, y, draws.xi(t))
            _, v, Jz, Hz = problem.g.grad_hess(rows, y, draws.zeta(t), z)
            down, aside = (mean(part) if shared else part for part in (v, Hz - u_y))
            y, z = y - step * down, z - step * aside
            if 2 * t >= PILOT:
                h += 2 / PILOT * (u_x - Jz).mean(0)
            tick()
        return y, z, h

    y, z = problem.y0.expand(N, -1), problem.y0.new_zeros(N, problem.p)
    low, high, own = curvatures(y)
    if not high > 0:
        raise ValueError(
            f"the lower level curves upwards nowhere at the start (largest curvature {high:.3g}), "
            "so it has no minimiser in y there; add a ridge, or look at the data"
        )
    y, z, _ = pilot(x, y, z, float(1 / high))
    low_, high_, own_ = curvatures(y)
    low, high, own = torch.minimum(low, low_), torch.maximum(high, high_), torch.maximum(own, own_)
    step = float(1 / high)
    y, z, h = pilot(x, y, z, step)
    *_, base = pilot(x, y, z, step)
    phi, direction = 0.0, h
    for _ in range(TURNS):
        if not direction.any():
            break
        direction = direction * (NEAR * reach / direction.abs().max())
        change = pilot(x + direction, y, z, step)[-1] - base
        phi, direction = max(phi, float(change.norm() / direction.norm())), change
    randoms = (draws.numbers(0, stream)[0] for stream in (keys.UPPER, keys.LOWER))
    return Scales(
        low=float(low), high=float(high), own=float(own), phi=phi, slope=float(h.abs().max()),
        reach=reach, z=float(z.norm(dim=1).max()), drawn=any(one is not None for one in randoms),
    )  # fmt: skip
