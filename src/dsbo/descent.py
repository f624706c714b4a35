"""The lower level solved by gradients alone, and the hypergradient through steps of its descent.

Neither asks a level for a second-order product, so both check those who do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dsbo.hypergrad import Mean, curvature
from dsbo.levels import Level

AGAIN = 100
"""Steps after which the curvature is measured again."""


class Minimum(NamedTuple):
    """Where a descent ended: ``y [n, p]``; norms of its slopes and their goals, a row each."""

    y: Tensor
    slope: Tensor
    goal: Tensor
    steps: int

    @property
    def solved(self) -> bool:
        """Whether every slope is as small as it should be."""
        return bool((self.slope <= self.goal).all())


def minimise(
    g: Level,
    x: Tensor,
    y: Tensor,
    zeta: Any,
    mean: Mean | None,
    steps: int,
    tick: Callable[[], object] = lambda: None,
) -> Minimum:
    """Return where accelerated gradient descent on the lower level ends.

    The step is one over the largest curvature, measured by Lanczos' method now and then and on the
    way from gradients that follow one another. Momentum starts again where it leads uphill.

    Parameters
    ----------
    g, x, y, zeta
        Lower level, points ``[n, d]`` and ``[n, p]``, batches.
    mean : callable or None
        As in `curvature`: of a shared lower level the mean over the agents is minimised, and all
        rows of y are equal; with None every agent's own.
    steps : int
        Gradients at most.
    tick : callable
        Called after each of them.
    """
    small = torch.finfo(y.dtype).eps
    look, before, momentum = y, y, torch.zeros_like(y[:, :1])
    last: tuple[Tensor, Tensor] | None = None
    for t in range(steps + 1):
        if t % AGAIN == 0:
            low, high = curvature(g, x, look, zeta, mean, products=8)
            steep = torch.maximum(low.abs(), high.abs()).nan_to_num(1.0).clamp(min=small)
            steep = steep[:, None].to(y)
        slope = g.grad(x, look, zeta)[1]
        slope = mean(slope).expand_as(slope) if mean else slope
        if last is not None:
            moved = (look - last[0]).norm(dim=1, keepdim=True)
            seen = (slope - last[1]).norm(dim=1, keepdim=True) / moved.clamp(min=small)
            told = moved > small**0.5 * look.norm(dim=1, keepdim=True)  # not by rounding
            steep = torch.where(told, steep.maximum(seen), steep)
        goal = small**0.75 * steep * (1 + look.norm(dim=1, keepdim=True))
        size = slope.norm(dim=1, keepdim=True)
        tick()
        if t == steps or not size.isfinite().all() or (size <= goal).all():
            break
        last = look, slope
        reached = look - slope / (1.1 * steep)
        uphill = (slope * (reached - before)).sum(1, keepdim=True) > 0
        momentum = torch.where(uphill, 0.0, momentum + 1)
        look = reached + momentum / (momentum + 3) * (reached - before)
        before = reached
    rows = 1 if mean else len(y)
    return Minimum(look, size[:rows, 0], goal[:rows, 0], t)


def unrolled(
    f: Level,
    g: Level,
    x: Tensor,
    y: Tensor,
    xi: Any,
    zeta: Any,
    shared: bool,
    bounds: tuple[float, float],
    steps: int,
) -> Tensor:
    """Return ∇Φ ``[d]`` by automatic differentiation through steps of descent that begin at y.

        y_k+1 = y_k − a ∇₂g(x, y_k) + b (y_k − y_k−1)

    with Polyak's a and b for the bounds, so that what the start leaves in the derivative falls by
    √b a step. Where y minimises the lower level all steps are one and the same; one is written
    down, by PyTorch from the losses themselves, and differentiated ``steps`` times.

    Parameters
    ----------
    f, g, xi, zeta
        Levels and batches of all agents.
    x, y : Tensor
        One point ``[d]``, and its lower solution, ``[n, p]``.
    shared : bool
        Whether the mean of all lower levels is descended, or every agent's own.
    bounds : tuple of float
        Of the curvature of the lower level; positive.
    steps : int
        How many.
    """
    low, high = (bound**0.5 for bound in bounds)
    a, b = 4 / (high + low) ** 2, ((high - low) / (high + low)) ** 2
    with torch.enable_grad():
        at = x.detach().requires_grad_(), (y[:1] if shared else y).detach().requires_grad_()
        rows = at[0].expand(len(y), -1), at[1].expand(len(y), -1)
        each = g.value(*rows, zeta)
        total = each.mean() if shared else each.sum()
        (slope,) = torch.autograd.grad(total, at[1], create_graph=True)
        found, way = torch.autograd.grad(f.value(*rows, xi).mean(), at, materialize_grads=True)
    earlier = torch.zeros_like(way)
    for _ in range(steps):
        s_x, s_y = torch.autograd.grad(slope, at, way, retain_graph=True, materialize_grads=True)
        found = found - a * s_x
        way, earlier = (1 + b) * way - a * s_y + earlier, -b * way
    return found
