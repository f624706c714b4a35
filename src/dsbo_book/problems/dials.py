"""Quadratics whose agents differ as much as one says, and sit where one says.

Both have the solution w* = (1, …, 1), and what pulls the agents apart there is given alone.
Chapters dsoba, dsoba-rest, transient, transient-measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dsbo.problems import Quadratic

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def dial(
    pattern: NDArray[np.float64],
    b: float = 1.0,
    differ: float = 0.2,
    d: int = 2,
    p: int = 3,
    noise: float = 0.0,
    seed: int = 0,
) -> Quadratic:
    """Return a quadratic on which heterogeneity at the solution and curvature are set apart.

    Parameters
    ----------
    pattern : ndarray
        ``[N, k]``, columns of mean zero. What is an agent's own is its row times k random parts.
    b : float
        Size b_* of the directions at the solution: the mean of ‖D_i(w*)‖² is b².
    differ : float
        How much second derivatives differ from their mean; 0 makes them common.
    d, p : int
        Sizes of x and y.
    noise : float
        As in `Quadratic`.
    seed : int
        Of the random parts.

    Examples
    --------
    >>> problem = dial(np.eye(4) - 1 / 4, b=3.0)
    >>> problem.solution().x.round(decimals=12)
    tensor([1., 1.], dtype=torch.float64)
    """
    rng, N = np.random.default_rng(seed), len(pattern)

    def own(*shape: int) -> Any:
        return np.tensordot(pattern, rng.normal(size=(pattern.shape[1], *shape)), 1)

    def square(centre: float, n: int) -> Any:
        half = own(n, n)
        return centre * np.eye(n) + differ * (half + half.transpose(0, 2, 1)) / 2

    def oblong(*shape: int) -> Any:
        return 0.3 * rng.normal(size=shape) + differ * own(*shape)

    c = {"P": square(1, d), "Q": oblong(d, p), "R": square(1, p)}
    c |= {"A": square(2, p), "B": oblong(p, d)}
    D_star = own(d + 2 * p)
    D_star *= b / np.sqrt((D_star**2).sum(1).mean())
    zero_x, zero_y = np.zeros((N, d)), np.zeros((N, p))
    M, _ = Quadratic(**c, p=zero_x, r=zero_y, b=zero_y).directions()
    of_x, of_y, of_z = np.split(D_star - M.sum(2).numpy(), [d, d + p], 1)
    return Quadratic(**c, p=of_x, b=-of_y, r=-of_z, noise=noise)


def placed(
    u: ArrayLike, v: ArrayLike, b: float, a: float = 0.15, noise: float = 1.0, d: int = 1
) -> Quadratic:
    """Return a quadratic with curvature 1 + a u_i on agent i's lower level, and a pull b v_i.

        f_i = ½ x² - 2 x + ½ y² + a u_i y,    ∇₂g_i = (1 + a u_i)(y - 1) - (x - 1) + b v_i

    Parameters
    ----------
    u, v : array_like
        ``[N]``, of mean zero: where curvature and pull are large.
    b, a : float
        How large.
    noise : float
        As in `Quadratic`.
    d : int
        Coordinates of x and of y, which do not touch each other: as many copies of one problem.

    Examples
    --------
    >>> placed([1.0, -1.0], [1.0, -1.0], b=2.0).solution().x
    tensor([1.], dtype=torch.float64)
    """
    curvature = (1 + a * np.reshape(u, (-1, 1, 1))) * np.eye(d)
    N, one = len(curvature), np.ones((len(curvature), 1, 1)) * np.eye(d)
    still, pull = np.ones((N, d)), b * np.reshape(v, (N, 1))
    p, r = -2 * still, (curvature - one) @ np.ones(d)
    lower = curvature @ np.ones(d) - still - pull
    return Quadratic(P=one, Q=0 * one, R=one, p=p, r=r, A=curvature, B=one, b=lower, noise=noise)
