"""Quadratic bilevel problems, whose every answer is known in closed form."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsbo.checked import real, whole
from dsbo.levels import Level, Pair, count_products
from dsbo.linear import solve
from dsbo.problems.problem import Problem
from dsbo.problems.samplers import Noisy


class Solution(NamedTuple):
    """The minimiser; for the personal class ``y [N, p]`` and ``z [N, p]`` hold a row an agent."""

    x: Tensor
    y: Tensor
    z: Tensor
    value: float


@dataclass(frozen=True, eq=False)
class QuadraticLevel(Level):
    """½ xᵀP x + xᵀQ y + ½ yᵀR y + pᵀx + rᵀy, with a batch that is (P, Q, R, p, r, e_x, e_y).

    The noise rows e_x and e_y are added to p and r. Closed form: ten times faster than
    differentiating a loss this small, and the reference that `SecondOrder` is tested against.
    """

    name: str
    calls: Counter[str] = field(default_factory=Counter)

    def value(self, x: Tensor, y: Tensor, batch: Any) -> Tensor:
        """Return each agent's loss, ``[n]``."""
        P, Q, R, p, r, e_x, e_y = batch
        linear: Tensor = (x * (p + e_x)).sum(1) + (y * (r + e_y)).sum(1)
        half: Tensor = 0.5 * (x * _times(P, x)).sum(1) + 0.5 * (y * _times(R, y)).sum(1)
        return half + (x * _times(Q, y)).sum(1) + linear

    def grad(self, x: Tensor, y: Tensor, batch: Any) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        self.calls[f"{self.name}_grads"] += 1
        P, Q, R, p, r, e_x, e_y = batch
        g1 = _times(P, x) + _times(Q, y) + p + e_x
        return g1, _times(Q.mT, x) + _times(R, y) + r + e_y

    def at(self, x: Tensor, y: Tensor, batch: Any) -> QuadraticPoint:
        """Return the level at a point."""
        return QuadraticPoint(self, x, y, batch)

    def counted(self, calls: Counter[str]) -> QuadraticLevel:
        """Return the same level that adds its oracle calls to ``calls``."""
        return QuadraticLevel(self.name, calls)


@dataclass(frozen=True, eq=False)
class QuadraticPoint:
    """A quadratic at a point: its second derivatives are the same everywhere."""

    level: QuadraticLevel
    x: Tensor
    y: Tensor
    batch: Any

    def grad(self) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        return self.level.grad(self.x, self.y, self.batch)

    def both(self, v: Tensor) -> Pair:
        """Return ∇²₁₂ v and ∇²₂₂ v."""
        return self.jac(v), self.hess(v)

    def jac(self, v: Tensor) -> Tensor:
        """Return ∇²₁₂ v."""
        count_products(self.level.calls, v, "jvps")
        return _times(self.batch[1], v)

    def hess(self, v: Tensor) -> Tensor:
        """Return ∇²₂₂ v."""
        count_products(self.level.calls, v, "hvps")
        return _times(self.batch[2], v)


def _times(matrices: Tensor, rows: Tensor) -> Tensor:
    return (matrices @ rows[..., None]).squeeze(-1)


class Quadratic(Problem):
    """f_i and g_i quadratic in (x, y), with everything known exactly.

        f_i = ½ xᵀP_i x + xᵀQ_i y + ½ yᵀR_i y + p_iᵀx + r_iᵀy
        g_i = ½ yᵀA_i y − yᵀ(B_i x + b_i)

    Parameters
    ----------
    P, Q, R : array_like
        ``[N, d, d]``, ``[N, d, p]``, ``[N, p, p]``.
    p, r : array_like
        ``[N, d]``, ``[N, p]``.
    A, B, b : array_like
        ``[N, p, p]``, ``[N, p, d]``, ``[N, p]``; the mean of A positive definite.
    noise : float
        Standard deviation of independent Gaussian noise added to ∇₁f, ∇₂f and ∇₂g in every
        iteration. The second derivatives stay exact.
    dtype : torch.dtype
        float64 by default, because the problem is made to verify.

    Raises
    ------
    ValueError
        If shapes disagree, something is not finite, or the mean of A is not positive definite.

    Examples
    --------
    >>> one = torch.ones(1, 1, 1)
    >>> problem = Quadratic(P=one, Q=0 * one, R=one, p=[[0.0]], r=[[-1.0]],
    ...                     A=one, B=one, b=[[0.0]])
    >>> problem.solution().x
    tensor([0.5000], dtype=torch.float64)
    """

    upper: Noisy
    lower: Noisy

    def __init__(
        self,
        P: Any,
        Q: Any,
        R: Any,
        p: Any,
        r: Any,
        A: Any,
        B: Any,
        b: Any,
        noise: float = 0.0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        named = {"P": P, "Q": Q, "R": R, "p": p, "r": r, "A": A, "B": B, "b": b}
        device = next((v.device for v in named.values() if isinstance(v, Tensor)), "cpu")
        c = {name: torch.as_tensor(v, dtype=dtype, device=device) for name, v in named.items()}
        P, Q, R, p, r, A, B, b = c.values()
        N, d, q = _sizes(c)
        noise = real(noise, "noise", least=0)
        g = torch.zeros_like(P), -B.mT, A, torch.zeros_like(p), -b
        super().__init__(
            f=QuadraticLevel("upper"),
            g=QuadraticLevel("lower"),
            x0=P.new_zeros(d),
            y0=P.new_zeros(q),
            agents=N,
            upper=Noisy((P, Q, R, p, r), noise),
            lower=Noisy(g, noise),
            settings={"name": "Quadratic", "agents": N, "d": d, "p": q, "noise": noise},
            metrics=_metrics,
            exact=_lower_solution,
        )

    @staticmethod
    def random(
        N: int, d: int, p: int, heterogeneity: float = 1.0, seed: int = 0, noise: float = 0.0
    ) -> Quadratic:
        """Return a random problem whose agents differ as much as ``heterogeneity`` says.

        A coefficient is a part that all agents share, plus 0.3·heterogeneity times a part of the
        agent's own, both standard normal; Q is a tenth and B three tenths of that. P, A and R are
        HHᵀ/n with such a matrix H of size n, plus the identity, for R a tenth of it. So g_i is
        strongly convex in y for every agent, and moderately conditioned.

        Parameters
        ----------
        N, d, p : int
            Agents, and sizes of x and y.
        heterogeneity : float
            0 makes all agents equal.
        seed : int
            Of the coefficients.
        noise : float
            As in the constructor.
        """
        N, d, p = (whole(size, name) for size, name in ((N, "N"), (d, "d"), (p, "p")))
        own = 0.3 * real(heterogeneity, "heterogeneity")
        rng = np.random.default_rng(whole(seed, "seed", least=0))

        def normal(*shape: int) -> Any:
            return rng.standard_normal(shape) + own * rng.standard_normal((N, *shape))

        def positive(n: int, least: float) -> Any:
            half = normal(n, n) / np.sqrt(n)
            return half @ half.transpose(0, 2, 1) + least * np.eye(n)

        f = positive(d, 1.0), 0.1 * normal(d, p), positive(p, 0.1), normal(d), normal(p)
        return Quadratic(*f, positive(p, 1.0), 0.3 * normal(p, d), normal(p), noise)

    def coefficients(self, shared: bool = True) -> dict[str, Tensor]:
        """Return P, Q, R, p, r, A, B, b by name: means ``[1, …]`` if shared, else ``[N, …]``.

        >>> problem = Quadratic.random(N=3, d=1, p=2)
        >>> same = Quadratic(**problem.coefficients(shared=False))
        """
        _, Q, A, _, r = self.lower.coefficients
        every = dict(zip("PQRprABb", (*self.upper.coefficients, A, -Q.mT, -r), strict=True))
        return {name: c.mean(0, keepdim=True) for name, c in every.items()} if shared else every

    def solution(self, shared: bool = True) -> Solution:
        """Return the exact minimiser.

        Parameters
        ----------
        shared : bool
            True: one y for all, minimising the mean of g. False: each agent's own y_i.
        """
        H, g0 = _hypergradient_map(self, shared)
        x = -torch.linalg.solve(H, g0)
        y, z = self.lower_solution(x, shared)
        rows = (x.expand(self.agents, -1), y.expand(self.agents, -1))
        value = float(self.f.value(*rows, self.upper.full(self.everyone())).mean())
        return Solution(x, y, z, value)

    def directions(self) -> tuple[Tensor, Tensor]:
        """Return M ``[N, n, n]`` and m ``[N, n]``, n = d + 2p: the SOBA directions are M w + m."""
        P, Q, R, p, r, A, B, b = self.coefficients(shared=False).values()
        rows = (P, Q, B.mT), (-B, A, torch.zeros_like(A)), (-Q.mT, -R, A)
        M = torch.cat([torch.cat(row, dim=2) for row in rows], dim=1)
        return M, torch.cat([p, -b, -r], dim=1)

    def fixed_point(
        self, W: NDArray[np.float64] | Tensor, alpha: float, beta: float, gamma: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return where noise-free D-SOBA comes to rest, ``x [N, d]``, ``y`` and ``z [N, p]``.

        The local directions are affine, M_i w + m_i in w = (x, y, z), so the resting point solves
        one linear system, w = W (w − steps · (M w + m)). It does not depend on theta.
        """
        M, m = self.directions()
        N, n = m.shape
        W = torch.as_tensor(W, dtype=m.dtype, device=m.device)
        steps = m.new_tensor([alpha] * self.d + [beta] * self.p + [gamma] * self.p)
        moved = torch.einsum("ij,jkl->ikjl", W, steps[:, None] * M).reshape(N * n, N * n)
        one = torch.eye(N * n, dtype=m.dtype, device=m.device)
        apart = one - torch.kron(W, one[:n, :n])
        w = torch.linalg.solve(apart + moved, -(W @ (steps * m)).reshape(-1))
        x, y, z = w.reshape(N, n).split((self.d, self.p, self.p), dim=1)
        return x, y, z


def _metrics(problem: Quadratic, x: Tensor, _: Tensor, shared: bool) -> dict[str, float]:
    """Return ‖∇Φ(x̄)‖ and ‖x̄ − x*‖ of the lower level's class."""
    xbar = x.mean(0)
    H, g0 = _hypergradient_map(problem, shared)
    return {
        "hypergradient": float((H @ xbar + g0).norm()),
        "distance": float((xbar + torch.linalg.solve(H, g0)).norm()),
    }


def _lower_solution(problem: Quadratic, x: Tensor, shared: bool) -> tuple[Tensor, Tensor]:
    _, Q, R, _, r, A, B, b = problem.coefficients(shared).values()
    y = solve(A, B @ x + b)
    z = solve(A, Q.mT @ x + _times(R, y) + r)
    return (y[0], z[0]) if shared else (y, z)


def _hypergradient_map(problem: Quadratic, shared: bool) -> tuple[Tensor, Tensor]:
    """Return the matrix and the offset of the affine map x -> ∇Φ(x)."""
    P, Q, R, p, r, A, B, b = problem.coefficients(shared).values()
    S, s0 = solve(A, B), solve(A, b[..., None])
    H = P + Q @ S + S.mT @ Q.mT + S.mT @ R @ S
    g0 = p[..., None] + Q @ s0 + S.mT @ (R @ s0 + r[..., None])
    return H.mean(0), g0.mean(0)[:, 0]


def _sizes(c: dict[str, Tensor]) -> tuple[int, int, int]:
    """Return N, d, p after checking every coefficient."""
    if c["p"].ndim != 2 or c["r"].ndim != 2:
        raise ValueError("p must be [N, d] and r must be [N, p]: one row an agent")
    (N, d), q = c["p"].shape, c["r"].shape[1]
    want = {"P": (N, d, d), "Q": (N, d, q), "R": (N, q, q), "p": (N, d), "r": (N, q)}
    want |= {"A": (N, q, q), "B": (N, q, d), "b": (N, q)}
    for name, shape in want.items():
        if tuple(c[name].shape) != shape:
            raise ValueError(f"{name} has shape {tuple(c[name].shape)}, need {shape}")
        if not c[name].isfinite().all():
            raise ValueError(f"{name} holds NaN or infinity")
    for name in "PRA":
        if not torch.allclose(c[name], c[name].mT):
            raise ValueError(f"{name} must be symmetric for every agent")
    smallest = float(torch.linalg.eigvalsh(c["A"].mean(0)).min())
    if smallest <= 0:
        raise ValueError(
            f"the mean of A has the eigenvalue {smallest:.3g}; the lower level needs it positive"
        )
    return N, d, q
