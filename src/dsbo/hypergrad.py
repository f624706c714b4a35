"""The hypergradient ∇Φ(x) of a bilevel problem at a given (x, y).

    ∇Φ = ∇₁f − ∇²₁₂g [∇²₂₂g]⁻¹ ∇₂f

With a shared lower level every term is first averaged over the agents; the inverse of a mean is
not the mean of inverses, which is why no agent can compute it alone. With personal lower levels
every agent can, from its own samples: `neumann`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dsbo.checked import positive, whole
from dsbo.levels import Level

Mean = Callable[[Tensor], Tensor]
TOGETHER = 1024
"""Columns of a Hessian that are computed at once, of all agents together."""


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

    Examples
    --------
    >>> from dsbo.problems import Quadratic
    >>> problem = Quadratic.random(1, 2, 3, 1.0, seed=0)
    >>> x = problem.x0
    >>> y, _ = problem.lower_solution(x, shared=True)
    >>> data = [level.full(problem.everyone()) for level in (problem.upper, problem.lower)]
    >>> slope = exact(problem.f, problem.g, x[None], y[None], *data)
    >>> bool((slope - problem.hypergradient(x)).abs().max() < 1e-9)
    True
    """
    u_x, u_y = (u.mean(0) for u in f.grad(x, y, xi))
    point, units = g.at(x, y, zeta), torch.eye(y.shape[1], dtype=y.dtype, device=y.device)
    some = max(1, TOGETHER // len(y))
    rows = (part[:, None].expand(-1, *y.shape) for part in torch.split(units, some))
    H = torch.cat([point.hess(part).mean(1) for part in rows])
    factor, failed = torch.linalg.cholesky_ex((H + H.mT) / 2)
    if not H.isfinite().all():
        raise ValueError("the lower Hessian holds NaN or infinity; look at x, y and the batches")
    if failed:
        smallest = float(torch.linalg.eigvalsh((H + H.mT) / 2).min())
        raise ValueError(
            f"the lower Hessian has the eigenvalue {smallest:.3g}; the lower level must be "
            "strongly convex in y: add a ridge"
        )
    z = torch.cholesky_solve(u_y[:, None], factor)[:, 0]
    return u_x - point.jac(z.expand_as(y)).mean(0)


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
        Stop when the residual has fallen to ``tol`` times ‖∇₂f‖. If ``steps`` do not get there, a
        warning tells how far they got; 0 takes all steps and does not ask.

    Raises
    ------
    ValueError
        If a direction of no positive curvature, NaN or infinity is met.
    """
    u_x, u_y = (u.mean(0) for u in f.grad(x, y, xi))
    steps = whole(steps, "steps")
    z, point = torch.zeros_like(u_y), g.at(x, y, zeta)
    residual = direction = u_y
    squared = residual @ residual
    goal = squared * tol**2
    for _ in range(steps):
        if squared <= goal:
            break
        Hd = point.hess(direction.expand_as(y)).mean(0)
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
    if not squared.isfinite():
        raise ValueError("conjugate gradients met NaN or infinity; look at x, y and the batches")
    if squared > goal and tol:
        reached = float((squared / (u_y @ u_y)).sqrt())
        warnings.warn(
            f"conjugate gradients stopped after {steps} steps at a residual of {reached:.2g}, not "
            f"{tol:.2g}, of ‖∇₂f‖; take more steps, a larger tol, or exact",
            stacklevel=2,
        )
    return u_x - point.jac(z.expand_as(y)).mean(0)


def curvature(
    g: Level, x: Tensor, y: Tensor, zeta: Any, mean: Mean | None, products: int = 12
) -> tuple[Tensor, Tensor]:
    """Return bounds, from within, of the smallest and the largest eigenvalue of ∇²₂₂g.

    By Lanczos' method: no eigenvalue is invented, and few products suffice for the outermost. NaN
    where the Hessian holds NaN or infinity.

    Parameters
    ----------
    g, x, y, zeta
        Lower level, points ``[n, d]`` and ``[n, p]``, batches.
    mean : callable or None
        Takes rows ``[n, p]`` to their mean ``[1, p]`` over all agents, for a shared lower level;
        with None every agent's own are returned, ``[n]``.
    products : int
        Hessian products at most.
    """
    start = torch.from_numpy(np.random.default_rng(0).standard_normal(y.shape[1])).to(y)
    v, before, beside = start / start.norm(), torch.zeros_like(start), torch.zeros_like(start[:1])
    rows = 1 if mean else len(y)
    v, before, beside = (part.expand(rows, -1) for part in (v, before, beside))
    diagonal, off = list[Tensor](), list[Tensor]()
    for _ in range(min(products, y.shape[1])):
        # A point would hold what the losses make on their way, of all agents also in chunks.
        found = g.hess(x, y, zeta, v.expand_as(y))
        w = mean(found) if mean else found.clone()  # in place from here on, for want of memory
        del found
        w.addcmul_(beside, before, value=-1)
        along = torch.linalg.vecdot(w, v)[:, None]
        if diagonal:  # what is left of a space that is used up counts as what was first found
            along = torch.where(beside > 0, along, diagonal[0])
        w.addcmul_(along, v, value=-1)
        diagonal.append(along)
        beside = w.norm(dim=1, keepdim=True)
        beside = torch.where(beside > 1e3 * torch.finfo(y.dtype).eps * along.abs(), beside, 0.0)
        off.append(beside)
        v, before = w.div_(torch.where(beside > 0, beside, torch.inf)), v
    T, sides = (torch.cat(parts, 1).double() for parts in (diagonal, off))
    half = torch.diag_embed(sides[:, :-1], 1)
    T = torch.diag_embed(T) + half + half.mT
    finite = T.flatten(1).isfinite().all(1)
    values = torch.linalg.eigvalsh(torch.where(finite[:, None, None], T, 0.0))
    values[~finite] = torch.nan
    return values[:, 0], values[:, -1]


def itd(
    f: Level, g: Level, x: Tensor, y: Tensor, xi: Any, zetas: Sequence[Any], beta: float
) -> Tensor:
    """Differentiate f(x, y_D(x)) for every agent, with y_D reached by D steps on its own g.

        y_j = y_{j-1} - beta ∇₂g(x, y_{j-1}; ζʲ)                       j = 1, …, D
        q <- q - beta ∇²₁₂g a,   a <- a - beta ∇²₂₂g a                 j = D, …, 1, at y_{j-1}

    The way back starts with q = ∇₁f and a = ∇₂f at y_D and costs D products of each kind; nothing
    is kept but the D points. Where g is quadratic it is the D-term `neumann` sum at y_D with
    L = 1/beta, so D fixed steps never make it exact, from whatever y they start.

    Shaban et al. 2019 and others. Derived in book/single-agent.md.

    Parameters
    ----------
    f, g : Level
        Upper and lower level.
    x, y : Tensor
        Every agent's x ``[n, d]`` and first y ``[n, p]``.
    xi : Any
        Upper batch.
    zetas : sequence
        D lower batches, one a step.
    beta : float
        Step of y.

    Returns
    -------
    Tensor
        ``[n, d]``.

    Raises
    ------
    TypeError, ValueError
        If beta is no positive number.
    """
    points, beta = [], positive(beta, "beta")
    for zeta in zetas:
        points.append(g.at(x, y, zeta))
        y = y - beta * points[-1].grad()[1]
    q, a = f.grad(x, y, xi)
    for point in reversed(points):
        Ja, Ha = point.both(a)
        q, a = q - beta * Ja, a - beta * Ha
    return q


class Chain(NamedTuple):
    """The samples of one Neumann estimate, values that can be used at two points.

    Parameters
    ----------
    xi : Any
        Upper batch.
    zetas : tuple
        Independent lower batches ζ⁰, …, ζᴷ⁻¹; the first is for the Jacobian. The paper draws a ζᴷ
        as well, which its formula never uses.
    k : Tensor
        Lengths ``[n]``, whole numbers in 0, …, K - 1.
    """

    xi: Any
    zetas: tuple[Any, ...]
    k: Tensor


def neumann(
    f: Level,
    g: Level,
    x: Tensor,
    y: Tensor,
    chain: Chain,
    L: float,
    full_sum: bool = False,
) -> Tensor:
    """Estimate every agent's own ∇Φ_i ``[n, d]`` by a truncated series for the inverse Hessian.

        ∇₁f - K/L ∇²₁₂g(ζ⁰) ∏_{j=1..k} (I - ∇²₂₂g(ζʲ)/L) ∇₂f,        k uniform on 0, …, K - 1

    Its mean is that of the K-term partial sum of the series. With ``full_sum`` all K terms of one
    chain are added up instead of drawing one and scaling it by K: the same mean, much less
    variance, and K - 1 Hessian products instead of (K - 1)/2 in the mean.

    Agents compute in step, so the products counted are those of the longest chain.

    Qiu et al. 2023, equation (5). Derived in book/neumann-series.md.

    Parameters
    ----------
    f, g : Level
        Upper and lower level.
    x, y : Tensor
        Every agent's point, ``[n, d]`` and ``[n, p]``.
    chain : Chain
        Samples, from `Draws.chain`.
    L : float
        Bound on the largest eigenvalue of every ∇²₂₂g(·; ζ); the series needs it.
    full_sum : bool
        Add all terms up.
    """
    K, k = len(chain.zetas), chain.k[:, None]
    u_x, q = f.grad(x, y, chain.xi)
    # Where every draw is everything, all factors are taken at one point.
    one = g.at(x, y, chain.zetas[0]) if all(z is chain.zetas[0] for z in chain.zetas) else None

    def hess(j: int, v: Tensor) -> Tensor:
        return g.hess(x, y, chain.zetas[j], v) if one is None else one.hess(v)

    if full_sum:
        total = q
        for j in range(1, K):
            q = q - hess(j, q) / L
            total = total + q
    else:
        # The factor next to ∇₂f is that of j = k, so it is applied first.
        for j in range(int(k.max()), 0, -1):
            q = torch.where(j <= k, q - hess(j, q) / L, q)
        total = K * q
    return u_x - (one or g.at(x, y, chain.zetas[0])).jac(total / L)
