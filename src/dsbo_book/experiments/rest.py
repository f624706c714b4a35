"""Where D-SOBA with constant steps comes to rest, solved for instead of waited for.

Without noise the point of rest satisfies w = W (w - Γ D(w)) with w the rows (x, y, z) of all
agents, Γ the steps and D the three directions. Newton's method finds it to rounding, also where an
iteration would need millions of steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from dsbo.network import Network
from dsbo.problems import Problem


class Rest(NamedTuple):
    """Rows ``x [N, d]``, ``y [N, p]`` and ``z [N, p]`` at rest."""

    x: Tensor
    y: Tensor
    z: Tensor


def directions(problem: Problem, w: Tensor) -> Tensor:
    """Return the directions D ``[N, d + 2p]`` of SOBA at rows ``w [N, d + 2p]``, on all data."""
    everyone = problem.everyone()
    xi, zeta = problem.upper.full(everyone), problem.lower.full(everyone)
    return _directions(problem, w, xi, zeta)


def dsoba(
    problem: Problem,
    network: Network,
    alpha: float,
    beta: float,
    gamma: float,
    tol: float = 1e-11,
    walk: int = 100,
    steps: int = 50,
) -> Rest:
    """Return the point of rest of D-SOBA on all data, starting at the problem's start.

    Parameters
    ----------
    problem : Problem
        With N (d + 2p) at most some thousands: a matrix of that size is solved with.
    network : Network
        Of as many agents.
    alpha, beta, gamma : float
        Constant steps of x, y and z.
    tol : float
        Largest entry of w - W (w - Γ D(w)), relative to the largest of w, at which to stop.
    walk : int
        Iterations of D-SOBA before the first Newton step, which is not to be trusted far away.
    steps : int
        Newton steps at most; one is halved until the residual falls.

    Raises
    ------
    ValueError
        If that many steps do not get there.
    """
    N, d, p = problem.agents, problem.d, problem.p
    everyone = problem.everyone()
    batches = problem.upper.full(everyone), problem.lower.full(everyone)
    W = torch.from_numpy(network.W).to(problem.x0)
    gamma_ = torch.cat([W.new_full((n,), s) for n, s in ((d, alpha), (p, beta), (p, gamma))])
    w = torch.cat([problem.x0, problem.y0, W.new_zeros(p)]).repeat(N, 1)

    def after(w: Tensor) -> Tensor:
        return W @ (w - gamma_ * _directions(problem, w, *batches))

    for _ in range(walk):
        w = after(w)
    for _ in range(steps):
        F = w - after(w)
        if F.abs().max() <= tol * (1 + w.abs().max()):
            return Rest(*torch.split(w, [d, p, p], dim=1))
        step = torch.linalg.solve(_jacobian(problem, w, batches, W, gamma_), F.ravel()).view_as(w)
        while not (F_ := w - step - after(w - step)).norm() < F.norm() and step.norm() > 1e-12:
            step = step / 2
        w = w - step
    raise ValueError(f"Newton's method left a residual of {F_.norm():.2g}; use smaller steps")


def _directions(problem: Problem, w: Tensor, xi: Any, zeta: Any) -> Tensor:
    x, y, z = torch.split(w, [problem.d, problem.p, problem.p], dim=1)
    u_x, u_y = problem.f.grad(x, y, xi)
    _, v, Jz, Hz = problem.g.grad_hess(x, y, zeta, z)
    return torch.cat([u_x - Jz, v, Hz - u_y], dim=1)


def _jacobian(
    problem: Problem, w: Tensor, batches: tuple[Any, Any], W: Tensor, gamma_: Tensor
) -> Tensor:
    """Return the matrix ``[N n, N n]`` of I - W (I - Γ D'), where D' has a block an agent."""
    N, n = w.shape
    s = torch.finfo(w.dtype).eps ** (1 / 3) * (1 + float(w.abs().max()))
    # Agents do not touch each other's rows, so one displacement serves all of them.
    ends = (
        [_directions(problem, w + way * s * unit, *batches) for way in (1, -1)]
        for unit in torch.eye(n, dtype=w.dtype, device=w.device)
    )
    blocks = torch.stack([(there - back) / (2 * s) for there, back in ends], dim=2)
    kept = torch.eye(n, dtype=w.dtype, device=w.device) - gamma_[:, None] * blocks
    mixed = torch.einsum("ij,jab->iajb", W, kept).reshape(N * n, N * n)
    return torch.eye(N * n, dtype=w.dtype, device=w.device) - mixed
