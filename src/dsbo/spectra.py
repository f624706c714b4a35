"""How fast weights bring agents together: eigenvalues of W, dense or by Lanczos' method.

Few agents, or many links: LAPACK. Many agents with few links: the three-term recurrence of Lanczos,
whose tridiagonal matrix has the outermost eigenvalues of W after N steps, on most graphs long
before; on a ring, where they crowd at one, after N/2. Without orthogonalising again an eigenvalue
may come twice, which does not matter to the outermost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Weights = NDArray[np.float64]

DENSE_AGENTS, SPARSE_LINKS = 1024, 32
"""Up to so many agents, or from so many weights an agent on, matrices are treated as dense."""
SHIFTS = 256
"""Points at which eigenvalues are counted at a time."""


def rho(W: ArrayLike | torch.Tensor) -> float:
    """Return ``‖W - 11ᵀ/N‖₂``, the factor by which a round shrinks disagreement.

    For symmetric W it is the second largest modulus of an eigenvalue. 0 means that one round
    averages exactly, 1 that some disagreement never fades.

    Examples
    --------
    >>> rho([[0.75, 0.25], [0.25, 0.75]])
    0.5
    """
    W = square(W)
    if _few_links(W):
        if symmetric(W):
            return max(map(abs, extremes(W)))
        forth, back = _product(W), _product(W.T)
        return float(np.sqrt(_outermost(lambda v: back(_centred(forth(v))), len(W))[1]))
    return float(np.linalg.norm(W - 1 / len(W), ord=2))


def lambda_min(W: ArrayLike | torch.Tensor) -> float:
    """Return the smallest real part of an eigenvalue of W.

    Methods that use ``W`` twice a round (EXTRA, exact diffusion) need it above -1/3.
    """
    W = square(W)
    if len(W) == 1:
        return float(W[0, 0])
    return extremes(W)[0] if symmetric(W) else float(np.linalg.eigvals(W).real.min())


def perron(W: ArrayLike | torch.Tensor) -> Weights:
    """Return the positive vector π with ``πᵀ W = πᵀ`` and sum one, ``[N]``, where rows sum to one.

    By the elimination of Grassmann, Taksar and Heyman, which subtracts nothing: each π_i has all
    its digits, however small it is.

    Raises
    ------
    ValueError
        If an entry is negative, rows do not sum to one, or some agent does not reach all others.

    Examples
    --------
    >>> perron([[0.5, 0.5], [0.25, 0.75]]).round(3)
    array([0.333, 0.667])
    """
    A = square(W).copy()
    if A.min() < 0 or np.abs(A.sum(1) - 1).max() > 1e-6:
        shown = np.array2string(A.sum(1), threshold=8, edgeitems=3)
        raise ValueError(f"W needs entries of at least 0 and rows that sum to 1, got sums {shown}")
    with np.errstate(divide="ignore", invalid="ignore"):
        for n in range(len(A) - 1, 0, -1):
            A[:n, n] /= A[n, :n].sum()
            A[:n, :n] += np.outer(A[:n, n], A[n, :n])
        found = np.ones(1)
        for n in range(1, len(A)):
            found = np.append(found, found @ A[:n, n])
    out: Weights = found / found.sum()
    if not (np.isfinite(out).all() and out.min() > 0):
        raise ValueError("some agent does not reach all others; use a strongly connected graph")
    return out


def second(W: Weights) -> float:
    """Return the largest modulus of an eigenvalue but the first, where rows or columns sum to one.

    >>> second(np.array([[0.5, 0.5], [0.25, 0.75]]))
    0.25
    """
    return float(np.abs(np.linalg.eigvals(W - 1 / len(W))).max())


def extremes(W: Weights) -> tuple[float, float]:
    """Return the smallest and the largest eigenvalue of symmetric W that is not the agreement's.

    Both are 0 for a single agent.
    """
    if len(W) == 1:
        return 0.0, 0.0
    if _few_links(W):
        return _outermost(_product(W), len(W))
    values = np.linalg.eigvalsh(W)  # the agreement's, 1, is the last
    return float(values[0]), float(values[-2])


def square(W: ArrayLike | torch.Tensor) -> Weights:
    """Return W as a float64 array; raise a ValueError if it is not square and finite."""
    if isinstance(W, torch.Tensor):
        W = W.detach().to("cpu", W.dtype if W.is_complex() else torch.float64).numpy()
    try:
        given = np.asarray(W)
        out: Weights = given.astype(np.float64, casting="same_kind" if given.size else "unsafe")
    except (OverflowError, TypeError, ValueError) as error:
        raise TypeError(f"W must be a matrix of numbers [N, N], got {W!r}") from error
    if out.ndim != 2 or out.shape[0] != out.shape[1] or out.size == 0:
        raise ValueError(f"W has shape {out.shape}; give a square matrix [N, N]")
    if not np.isfinite(out).all():
        i, j = np.argwhere(~np.isfinite(out))[0]
        raise ValueError(f"W[{i}, {j}] = {out[i, j]} is not finite; check how W was computed")
    return out


def symmetric(W: Weights) -> bool:
    """Say whether W is symmetric up to rounding."""
    rows, columns = np.nonzero(W)
    return bool(np.abs(W[rows, columns] - W[columns, rows]).max() <= 1e-14)


def _few_links(W: Weights) -> bool:
    return len(W) > DENSE_AGENTS and int(np.count_nonzero(W)) <= SPARSE_LINKS * len(W)


def _product(W: Weights) -> Callable[[Weights], Weights]:
    """Return v -> W v, by the weights that are not zero; every row has one."""
    rows, columns = np.nonzero(W)
    values, starts = W[rows, columns], np.searchsorted(rows, np.arange(len(W)))

    def product(v: Weights) -> Weights:
        sums: Weights = np.add.reduceat(values * v[columns], starts)
        return sums

    return product


def _centred(v: Weights) -> Weights:
    centred: Weights = v - v.mean()
    return centred


def _outermost(product: Callable[[Weights], Weights], N: int) -> tuple[float, float]:
    """Return the outermost eigenvalues of a symmetric matrix on vectors that sum to zero."""
    new = _centred(np.random.default_rng(0).standard_normal(N))
    old, diagonal, beside = np.zeros(N), list[float](), [float(np.linalg.norm(new))]
    found, stop = (np.inf, -np.inf), 128
    while True:
        old, new = new / beside[-1], old
        new = product(old) - (beside[-1] * new if diagonal else 0)
        diagonal.append(float(old @ new))
        new = _centred(new - diagonal[-1] * old)
        beside.append(float(np.linalg.norm(new)))
        # W has as many different eigenvalues as steps were made: what is left is rounding.
        done = len(diagonal) >= N or beside[-1] < 1e-10
        if len(diagonal) == stop or done:
            before, found = found, _ends(np.array(diagonal), np.array(beside[1:-1]))
            if done or max(abs(a - b) for a, b in zip(before, found, strict=True)) < 1e-15:
                return found
            stop *= 16


def _ends(diagonal: Weights, beside: Weights) -> tuple[float, float]:
    """Return the smallest and the largest eigenvalue of a symmetric tridiagonal matrix."""
    return -_largest(-diagonal, beside), _largest(diagonal, beside)


def _largest(diagonal: Weights, beside: Weights) -> float:
    """Return the largest eigenvalue of a tridiagonal matrix by counting those above shifts."""
    reach = 2 * max(beside, default=0)
    low, high = float(diagonal.max()), float(diagonal.max()) + float(reach)
    squares = beside**2
    while high - low > 1e-15:
        shifts = np.linspace(low, high, SHIFTS + 2)
        # Pivots of the LDLᵀ decomposition: as many are positive as there are eigenvalues above.
        pivot, above = np.ones_like(shifts), np.zeros(len(shifts), bool)
        for entry, square in zip(diagonal, (0, *squares), strict=True):
            pivot = entry - shifts - square / pivot
            pivot[pivot == 0] = 1e-300
            above |= pivot > 0
        if not above[0]:
            return low
        k = int(np.argmin(above))  # the first shift with none above
        if not shifts[k - 1] < shifts[k] or (low, high) == (shifts[k - 1], shifts[k]):
            break
        low, high = float(shifts[k - 1]), float(shifts[k])
    return high
