"""What is expected of D-SOBA on quadratics, exactly, and when a graph is as good as a server.

    s⁺ = A s + c + E e,    s = (x, y, z, h) of all agents, measured from the solution

with e the noises of the three directions. All agents have one number for each variable. Nothing is
drawn: what is expected of a run is a sum of powers of A, which doubles in a few products. Chapters
transient, transient-measured.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dsbo import graphs, mixing
from dsbo.mixing import rho
from dsbo_book.problems.dials import placed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsbo.problems import Quadratic

    Numbers = NDArray[np.float64]

RATES = np.array([1.0, 2.0, 2.0, 4.0])
"""Steps of x, y and z and the share θ, in steps of x."""


def recursion(problem: Quadratic, W: Numbers, alpha: float) -> tuple[Numbers, Numbers, Numbers]:
    """Return A ``[4N, 4N]``, c ``[4N]`` and E ``[4N, 3N]`` of D-SOBA with steps ``alpha * RATES``.

    Parameters
    ----------
    problem : Quadratic
        With d = p = 1 and the solution (1, 1, 1), such as `placed` makes.
    W : ndarray
        Weights ``[N, N]``.
    alpha : float
        Step of x.
    """
    M, m = (part.numpy() for part in problem.directions())
    N, own = len(W), np.eye(len(W))
    x, y, z, theta = alpha * RATES
    D = [[np.diag(M[:, k, j]) for j in range(3)] for k in range(3)]
    E = np.zeros((4 * N, 3 * N))
    E[N : 2 * N, N : 2 * N], E[2 * N : 3 * N, 2 * N :] = -y * W, -z * W
    E[3 * N :, :N] = theta * own
    A = np.zeros((4 * N, 4 * N))
    A[: 3 * N, : 3 * N] = np.kron(np.eye(3), W)
    A[:N, 3 * N :], A[3 * N :, 3 * N :] = -x * W, (1 - theta) * own
    A[:, : 3 * N] += E @ np.block(D)
    return A, E @ (M.sum(2) + m).T.ravel(), E


def start(N: int) -> Numbers:
    """Return x = y = z = h = 0 of N agents, measured from the solution: ``[4N]``."""
    return np.concatenate([-np.ones(3 * N), np.zeros(N)])


def mean_square(
    A: Numbers, c: Numbers, noise: Numbers, begin: Numbers, read: Numbers, T: float
) -> float:
    """Return the mean over t < T of E (read · s)², for s⁺ = A s + c + noise of that covariance.

    T is rounded up to a power of two. The sums G of (Aᵗ)ᵀ read readᵀ Aᵗ, and K of all G so far,
    double in a few products.

    >>> one = np.ones((1, 1))
    >>> mean_square(one, np.zeros(1), one, np.zeros(1), np.ones(1), 4)  # 0, 1, 2, 3
    1.5
    """
    A = np.block([[A, c[:, None]], [np.zeros((1, len(c))), 1.0]])
    begin, read = np.r_[begin, 1.0], np.r_[read, 0.0]
    G, K, span = np.outer(read, read), np.zeros_like(A), 1
    while span < T:
        K = K + span * G + A.T @ K @ A
        G = G + A.T @ G @ A
        A, span = A @ A, 2 * span
    return float((begin @ G @ begin + (K[:-1, :-1] * noise).sum()) / span)


def quality(
    problem: Quadratic, W: Numbers, T: float, stands_for: int = 1, size: float = 0.3
) -> float:
    """Return the mean over t < T of E‖∇Φ(x̄)‖², with the step ``size`` √(N/T).

    Parameters
    ----------
    problem : Quadratic
        Of `placed`, where ∇Φ(x) = 2 (x - 1).
    W : ndarray
        Weights ``[N, N]``.
    T : float
        Iterations, as a power of two.
    stands_for : int
        So many agents each row stands for: the variance of its noise is divided by it.
    size : float
        Of the step.
    """
    N = len(W)
    A, c, E = recursion(problem, W, size * np.sqrt(N * stands_for / T))
    noise = problem.settings["noise"] ** 2 / stands_for * E @ E.T
    return mean_square(A, c, noise, start(N), np.r_[np.full(N, 2 / N), np.zeros(3 * N)], T)


@cache
def server(N: int, T: float) -> float:
    """Return `quality` of a server that has the data of N agents."""
    return quality(placed([0.0], [0.0], 0.0), np.eye(1), T, stands_for=N)


def ten_weights() -> dict[str, Numbers]:
    """Return the weights on which times are measured: three kinds of graph, 8 to 32 agents."""
    rings = {f"ring {n}": mixing.uniform(graphs.ring(n)) for n in (8, 16, 32)}
    tori = {f"torus {4 * n}": mixing.uniform(graphs.torus(4, n)) for n in (4, 8)}
    far = {f"exponential {n}": mixing.uniform(graphs.exponential(n)) for n in (16, 32)}
    own = {f"adjusted ring {s}": mixing.uniform(graphs.ring(16), s) for s in (0.6, 0.8, 0.9)}
    return rings | tori | far | own


def worst(W: Numbers) -> tuple[float, Numbers, Numbers]:
    """Return χ = ‖(I - W)⁺ W‖₂ on vectors of mean zero, with the places u and v that attain it.

    They have mean square one, and uᵀ (I - W)⁺ W v = N χ.

    >>> round(worst(np.array([[0.75, 0.25], [0.25, 0.75]]))[0], 12)  # λ/(1 - λ), λ = ½
    1.0
    """
    N = len(W)
    memory = np.linalg.pinv(np.eye(N) - W) @ (W - 1 / N)
    left, sizes, right = np.linalg.svd(memory)
    return float(sizes[0]), left[:, 0] * np.sqrt(N), right[0] * np.sqrt(N)


def odds(W: Numbers) -> float:
    """Return ρ/(1 - ρ)."""
    return rho(W) / (1 - rho(W))


def joins(
    Ts: Sequence[float] | Numbers, ratios: Sequence[float] | Numbers, level: float = 2.0
) -> float:
    """Return the T after which ratios stay below a level.

    Between two T the logarithm of ratio - 1 is taken as a straight line. A level is needed that the
    first ratio reaches and the last does not.

    >>> joins([1.0, 4.0, 16.0], [9.0, 3.0, 1.5])
    8.0
    """
    last = np.flatnonzero(np.asarray(ratios) >= level)[-1]
    high, low = np.log((np.asarray(ratios)[last : last + 2] - 1) / (level - 1))
    return float(Ts[last] * (Ts[last + 1] / Ts[last]) ** (high / (high - low)))
