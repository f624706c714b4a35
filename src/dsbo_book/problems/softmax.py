"""Problems whose lower level is a softmax regression, solved exactly by Newton's method.

    g_i(x, y) = mean over agent i's samples of L(yᵀ a, c) + ½ sum_k r_k ‖y_k‖²

The features a or the weights r come from x. Nothing here runs inside an algorithm: the exact
minimiser and the exact hypergradient are for metrics.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from dsbo.problems.problem import Problem


class SoftmaxLower(Problem):
    """A problem with y a matrix ``[k, q]`` of weights of k features for q classes."""

    def regression(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the lower level at ``x [N, d]``: features, labels and ridge of `minimise`."""
        raise NotImplementedError

    def lower_solution(self, x: Tensor, y: Tensor, shared: bool = False) -> Tensor:
        """Return y*_i(x_i) ``[N, p]`` in double precision.

        Parameters
        ----------
        x : Tensor
            Rows ``[N, d]``; equal ones if ``shared``.
        y : Tensor
            Rows ``[N, p]`` to start Newton's method at.
        shared : bool
            Minimise the mean of the g_i instead; every row is then the same.
        """
        a, c, ridge = self._pooled(x, shared)
        start = y.double().reshape(len(y), a.shape[-1], -1)
        start = start.mean(0, keepdim=True) if shared else start
        return minimise(a, c, ridge, start).flatten(1).expand(len(y), -1)

    def hypergradient(self, x: Tensor, y: Tensor, shared: bool = False) -> tuple[Tensor, Tensor]:
        """Return the exact ∇Φ(x) ``[d]`` and the rows y*(x) ``[N, p]`` that belong to it.

        Parameters
        ----------
        x : Tensor
            One point ``[d]``.
        y : Tensor
            Rows ``[N, p]`` to start Newton's method at.
        shared : bool
            Whether the lower level is shared or personal.
        """
        rows, everyone = x.expand(self.agents, -1), self.everyone()
        solution = self.lower_solution(rows, y, shared)
        y_star = solution.to(y)
        u_x, u_y = self.f.grad(rows, y_star, self.upper.full(everyone))
        if shared:
            u_y = u_y.mean(0).expand_as(u_y)
        a, _, ridge = self._pooled(rows, shared)
        heads = solution[: len(a)].reshape(len(a), a.shape[-1], -1)
        H = hessian(a, torch.softmax(a @ heads, -1), ridge)
        z = torch.linalg.solve(H.expand(len(y), -1, -1), u_y.double()).to(u_y)
        Jz = self.g.jac(rows, y_star, self.lower.full(everyone), z)
        return (u_x - Jz).mean(0), y_star

    def _pooled(self, x: Tensor, shared: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return `regression` in double precision, all agents' samples in one row if shared."""
        a, c, ridge = self.regression(x)
        if shared:
            a, c, ridge = a.flatten(0, 1)[None], c.flatten()[None], ridge.mean(0, keepdim=True)
        return a.double(), c, ridge.double()

    def metrics(self, x: Tensor, y: Tensor, shared: bool = True) -> dict[str, float]:
        """Return the upper loss and equation (11) of Qiu et al. 2023: ``metric`` and its terms.

        ``stationarity`` is ‖∇Φ(x̄)‖², ``lower_gap`` the sum of ‖y*_i(x_i) - y_i‖²; the third term,
        the sum of ‖x_i - x̄‖², is N times the column ``consensus_x``. Where a run is about to
        diverge and the lower level cannot be solved any more, they are NaN.
        """
        xbar = x.mean(0)
        try:
            gradient, y_star = self.hypergradient(xbar, y, shared)
            if not shared:
                y_star = self.lower_solution(x, y_star)
            stationarity = float(gradient.double().square().sum())
            lower_gap = float((y_star - y).double().square().sum())
        except ValueError:
            stationarity = lower_gap = math.nan
        consensus = float((x - xbar).double().square().sum())
        return {
            "upper_loss": self.upper_loss(x, y, shared),
            "metric": stationarity + consensus + lower_gap,
            "stationarity": stationarity,
            "lower_gap": lower_gap,
        }


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
    H, last = None, torch.inf
    for _ in range(steps):
        shares = torch.softmax(a @ y, -1)
        gradient = a.mT @ (shares - truth) / a.shape[1] + ridge[..., None] * y
        norm = float(gradient.flatten(1).norm(dim=1).max())
        if norm <= tol:
            return y
        if H is None or norm > last / 10:
            H = hessian(a, shares, ridge)
        direction, singular = torch.linalg.solve_ex(H, gradient.flatten(1))
        if singular.any():
            raise ValueError("Newton's method met a singular Hessian of g; use a larger ridge")
        y, last = _halved(a, c, ridge, y, direction.reshape(y.shape)), norm
    raise ValueError(f"Newton's method left a gradient of norm {norm:.2g} in g")


def hessian(a: Tensor, shares: Tensor, ridge: Tensor) -> Tensor:
    """Return the Hessians ``[n, kq, kq]`` where the classes' shares are ``[n, m, q]``."""
    n, m, k = a.shape
    q = shares.shape[-1]
    scaled = (a[..., None] * shares[..., None, :]).reshape(n, m, k * q)
    H = -(scaled.mT @ scaled).reshape(n, k, q, k, q)
    same = torch.einsum("nmkc,nml->nkcl", scaled.reshape(n, m, k, q), a)
    H.diagonal(dim1=2, dim2=4).add_(same.permute(0, 1, 3, 2))
    H = H.reshape(n, k * q, k * q) / m
    H.diagonal(dim1=1, dim2=2).add_(ridge.repeat_interleave(q, dim=1))
    return H


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
