"""Problems whose lower level is a softmax regression, solved exactly by Newton's method.

    g_i(x, y) = mean over agent i's samples of L(yᵀ a, c) + ½ sum_k r_k ‖y_k‖²

The features a or the weights r come from x. Nothing here runs inside an algorithm: the exact
minimiser and the exact hypergradient are for metrics.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from dsbo.problems import Problem


@dataclass(frozen=True)
class SoftmaxLower:
    """What is known of a problem with y a matrix ``[k, q]`` of weights of k features for q classes.

    Parameters
    ----------
    regression : callable
        ``(problem, x [N, d])`` -> the lower level there: features, labels, ridge of `minimise`.
    """

    regression: Callable[[Problem, Tensor], tuple[Tensor, Tensor, Tensor]]

    def solution(
        self, problem: Problem, x: Tensor, shared: bool = True, start: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return y*(x) and z*(x), as `Problem.lower_solution` does.

        Newton's method starts at the rows ``start [N, p]``, by default at y0.
        """
        rows = x.expand(problem.agents, -1)
        start = (problem.y0.expand(problem.agents, -1) if start is None else start).double()
        start = start.mean(0, keepdim=True) if shared else start
        a, c, ridge = self._pooled(problem, rows, shared)
        heads = minimise(a, c, ridge, problem.unpack(y=start))
        y = heads.flatten(1).to(problem.y0)
        at = rows, y.expand(problem.agents, -1), problem.upper.full(problem.everyone())
        _, u_y = problem.f.grad(*at)
        u_y = u_y.mean(0, keepdim=True) if shared else u_y
        H = hessian(a, torch.softmax(a @ heads, -1), ridge)
        z = torch.cholesky_solve(u_y.double()[..., None], _factor(H))[..., 0].to(y)
        return (y[0], z[0]) if shared else (y, z)

    def metrics(self, problem: Problem, x: Tensor, y: Tensor, shared: bool) -> dict[str, float]:
        """Return equation (11) of Qiu et al. 2023: ``metric`` and its terms.

        ``stationarity`` is ‖∇Φ(x̄)‖², ``lower_gap`` the sum of ‖y*_i(x_i) - y_i‖²; the third term,
        the sum of ‖x_i - x̄‖², is N times the column ``consensus_x``. Where a run is about to
        diverge and the lower level cannot be solved any more, they are NaN.
        """
        xbar = x.mean(0)
        try:
            y_star, z_star = self.solution(problem, xbar, shared, start=y)
            gradient = problem.slope(xbar, y_star, z_star)
            if not shared:
                heads = problem.unpack(y=y_star.double())
                y_star = minimise(*self._pooled(problem, x, shared), heads).flatten(1)
            stationarity = float(gradient.double().square().sum())
            lower_gap = float((y_star - y).double().square().sum())
        except ValueError:
            stationarity = lower_gap = math.nan
        consensus = float((x - xbar).double().square().sum())
        metric = stationarity + consensus + lower_gap
        return {"metric": metric, "stationarity": stationarity, "lower_gap": lower_gap}

    def _pooled(self, problem: Problem, x: Tensor, shared: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return `regression` in double precision, all agents' samples in one row if shared."""
        a, c, ridge = self.regression(problem, x)
        if shared:
            a, c, ridge = a.flatten(0, 1)[None], c.flatten()[None], ridge.mean(0, keepdim=True)
        return a.double(), c, ridge.double()


def minimise(
    a: Tensor,
    c: Tensor,
    ridge: Tensor,
    y: Tensor,
    tol: float = 1e-9,
    steps: int = 200,
) -> Tensor:
    """Return the minimisers ``[n, k, q]`` of n softmax regressions.

    Newton's method with step halving. A Hessian, the costly part, is kept as long as a step with
    it divides the gradients by ten.

    Parameters
    ----------
    a : Tensor
        Features ``[n, m, k]``.
    c : Tensor
        Labels ``[n, m]``.
    ridge : Tensor
        Positive weights ``[n, k]`` of ½ ‖y_k‖².
    y : Tensor
        Start ``[n, k, q]``.
    tol : float
        Largest norm of a gradient at which to stop.
    steps : int
        Newton steps at most.

    Raises
    ------
    ValueError
        If that many steps do not get there, for instance because ``a`` holds NaN.
    """
    truth = one_hot(c, y.shape[-1]).to(a)
    factor, last = None, torch.inf
    for _ in range(steps):
        shares = torch.softmax(a @ y, -1)
        gradient = a.mT @ (shares - truth) / a.shape[1] + ridge[..., None] * y
        norm = float(gradient.flatten(1).norm(dim=1).max())
        if norm <= tol:
            return y
        if factor is None or norm > last / 10:
            factor = _factor(hessian(a, shares, ridge))
        direction = torch.cholesky_solve(gradient.flatten(1)[..., None], factor)
        y, last = _halved(a, c, ridge, y, direction.reshape(y.shape)), norm
    raise ValueError(f"Newton's method left a gradient of norm {norm:.2g} in g")


def hessian(a: Tensor, shares: Tensor, ridge: Tensor) -> Tensor:
    """Return the Hessians ``[n, kq, kq]`` where the classes' shares are ``[n, m, q]``.

    The blocks of a class sum to zero, which gives those of the last class.
    """
    n, m, k = a.shape
    q = shares.shape[-1]
    scaled = (a[..., None] * shares[..., None, :-1]).reshape(n, m, k * (q - 1))
    own = (a.mT @ scaled).view(n, k, k, q - 1)
    H = a.new_zeros(n, k, q, k, q)
    H[:, :, :-1, :, :-1] = -(scaled.mT @ scaled).view(n, k, q - 1, k, q - 1)
    H[:, :, :-1, :, :-1].diagonal(dim1=2, dim2=4).add_(own)
    H[..., -1] = -H.sum(4)
    H[:, :, -1] = -H.sum(2)
    H = H.view(n, k * q, k * q) / m
    H.diagonal(dim1=1, dim2=2).add_(ridge.repeat_interleave(q, dim=1))
    return H


def _factor(H: Tensor) -> Tensor:
    factor: Tensor
    factor, singular = torch.linalg.cholesky_ex(H)
    if singular.any():
        raise ValueError("the Hessian of g is singular in this precision; use a larger ridge")
    return factor


def _halved(a: Tensor, c: Tensor, ridge: Tensor, y: Tensor, direction: Tensor) -> Tensor:
    """Return y less the direction, halved for those whose loss would rise."""
    length = torch.ones(len(y), 1, 1, dtype=y.dtype, device=y.device)
    before = _loss(a, c, ridge, y)
    for _ in range(30):
        risen = _loss(a, c, ridge, y - length * direction) > before + 1e-14 * before.abs()
        if not bool(risen.any()):
            break
        length = torch.where(risen[:, None, None], length / 2, length)
    return y - length * direction


def _loss(a: Tensor, c: Tensor, ridge: Tensor, y: Tensor) -> Tensor:
    logits = (a @ y).mT  # cross_entropy wants the classes second
    fit = cross_entropy(logits, c, reduction="none").mean(1)
    penalty: Tensor = 0.5 * (ridge[..., None] * y * y).sum((1, 2))
    return fit + penalty


def softmax_loss(y: Tensor, a: Tensor, c: Tensor) -> Tensor:
    """Return one agent's mean loss of the weights ``y [k, q]`` on features ``a [m, k]``."""
    loss: Tensor = cross_entropy(a @ y, c)
    return loss


def accuracy(y: Tensor, a: Tensor, c: Tensor) -> Any:
    """Return the share of samples ``a [..., m, k]`` that ``y [..., k, q]`` gets right."""
    return ((a @ y).argmax(-1) == c).double().mean(-1)


def shards(**samples: tuple[Tensor, Tensor]) -> list[list[tuple[Tensor, Tensor]]]:
    """Return features ``[N, m, k]`` and labels ``[N, m]`` of each kind agent by agent.

    Raises
    ------
    ValueError
        If the kinds differ in agents or features.
    """
    sizes = {name: (len(a), a.shape[2]) for name, (a, _) in samples.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"agents and features must agree, got {sizes}")
    return [list(zip(a, c, strict=True)) for a, c in samples.values()]
