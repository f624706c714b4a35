"""The hypergradient ∇Φ(x) of a bilevel problem at a given (x, y).

    ∇Φ = ∇₁f − ∇²₁₂g [∇²₂₂g]⁻¹ ∇₂f

With a shared lower level every term is first averaged over the agents; the inverse of a mean is
not the mean of inverses, which is why no agent can compute it alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dsbo.levels import Level


def exact(f: Level, g: Level, x: Tensor, y: Tensor, xi: Any, zeta: Any) -> Tensor:
    """Return ∇Φ ``[d]`` for a shared lower level by building and solving with the p×p Hessian.

    Parameters
    ----------
    f, g : Level
        Upper and lower level.
    x, y : Tensor
        One point, repeated for every agent: ``[N, d]`` and ``[N, p]``. The formula holds where y
        minimises the mean of g.
    xi, zeta : Any
        Batches of all agents, for instance everything they have.

    Raises
    ------
    ValueError
        If the averaged Hessian is not positive definite, so that the lower level has no minimiser.
    """
    u_x, u_y = (u.mean(0) for u in f.grad(x, y, xi))
    columns = [
        g.grad_hess(x, y, zeta, unit.expand_as(y))[3].mean(0)
        for unit in torch.eye(y.shape[1], dtype=y.dtype, device=y.device)
    ]
    H = torch.stack(columns, dim=1)
    factor, failed = torch.linalg.cholesky_ex((H + H.mT) / 2)
    if failed:
        smallest = float(torch.linalg.eigvalsh((H + H.mT) / 2).min())
        raise ValueError(
            f"the lower Hessian has the eigenvalue {smallest:.3g}; the lower level must be "
            "strongly convex in y: add a ridge"
        )
    z = torch.cholesky_solve(u_y[:, None], factor)[:, 0]
    return u_x - g.grad_hess(x, y, zeta, z.expand_as(y))[2].mean(0)


def cg(
    f: Level,
    g: Level,
    x: Tensor,
    y: Tensor,
    xi: Any,
    zeta: Any,
    steps: int = 100,
    tol: float = 1e-10,
) -> Tensor:
    """Return ∇Φ ``[d]`` for a shared lower level by conjugate gradients on Hessian products.

    Parameters
    ----------
    f, g, x, y, xi, zeta
        As in `exact`.
    steps : int
        Products at most; on a p-dimensional level p of them suffice in exact arithmetic.
    tol : float
        Stop when the residual has fallen to ``tol`` times ‖∇₂f‖.

    Raises
    ------
    ValueError
        If a direction of no positive curvature is met.
    """
    u_x, u_y = (u.mean(0) for u in f.grad(x, y, xi))
    z = torch.zeros_like(u_y)
    residual = direction = u_y
    squared = residual @ residual
    goal = squared * tol**2
    for _ in range(steps):
        if squared <= goal:
            break
        Hd = g.grad_hess(x, y, zeta, direction.expand_as(y))[3].mean(0)
        curvature = direction @ Hd
        if curvature <= 0:
            raise ValueError(
                f"the lower Hessian has curvature {float(curvature):.3g} along a direction; the "
                "lower level must be strongly convex in y: add a ridge"
            )
        length = squared / curvature
        z, residual = z + length * direction, residual - length * Hd
        squared, previous = residual @ residual, squared
        direction = residual + squared / previous * direction
    return u_x - g.grad_hess(x, y, zeta, z.expand_as(y))[2].mean(0)
