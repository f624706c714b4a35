"""What every algorithm must satisfy, as checks that a page or a test of yours can call.

Each check raises an AssertionError that says what differs, or returns the largest difference it
found. A naive loop over the agents, the strongest check of all, is the author's to write.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsbo.algorithms import Algorithm
from dsbo.network import Dense, Sparse
from dsbo.problems import Problem
from dsbo.run import run

__all__ = ["equals", "networks_agree", "resumes", "seeds_decide", "sends"]


def equals(got: Any, want: Any, tol: float) -> float:
    """Return the largest difference of two States, or say which variable differs by more than tol.

    Parameters
    ----------
    got, want : NamedTuple of Tensor
        States; of ``want`` the variables that ``got`` has too.
    tol : float
        Largest difference allowed.
    """
    gaps = {name: _gap(getattr(got, name), getattr(want, name)) for name in got._fields}
    name = max(gaps, key=lambda key: gaps[key])
    assert gaps[name] <= tol, f"{name} differs by {gaps[name]:.3g}, more than {tol:.3g}"
    return gaps[name]


def networks_agree(
    algorithm: Algorithm, problem: Problem, W: NDArray[np.float64], tol: float
) -> float:
    """Return by how much `Sparse` differs from `Dense` after 30 iterations."""
    dense, sparse = (run(algorithm, problem, kind(W), 30).state for kind in (Dense, Sparse))
    return equals(dense, sparse, tol)


def resumes(algorithm: Algorithm, problem: Problem, W: NDArray[np.float64]) -> float:
    """Return 0 if a run that stops after 17 of 40 iterations goes on bit for bit."""
    whole = run(algorithm, problem, Dense(W), 40, record=5).state
    with tempfile.TemporaryDirectory() as folder:
        run(algorithm, problem, Dense(W), 17, record=5, checkpoint=folder)
        again = run(algorithm, problem, Dense(W), 40, record=5, checkpoint=folder, resume=True)
    return equals(again.state, whole, 0.0)


def seeds_decide(algorithm: Algorithm, problem: Problem, W: NDArray[np.float64]) -> float:
    """Return by how much y differs between two seeds; the same seed twice must differ by 0.

    The problem must be noisy.
    """
    first, again, other = (run(algorithm, problem, Dense(W), 5, seed=s).state for s in (4, 4, 5))
    equals(first, again, 0.0)
    gap = _gap(first.y, other.y)
    assert gap > 0, "two seeds give the same y; take samples from w.draw, and a noisy problem"
    return gap


def sends(
    algorithm: Algorithm, problem: Problem, W: NDArray[np.float64], floats: int, rounds: int
) -> int:
    """Return the numbers an iteration sends to each neighbour, which must be ``floats``.

    Parameters
    ----------
    algorithm, problem, W
        What to run, for 7 iterations.
    floats, rounds : int
        Declared by the method: numbers to each neighbour and rounds of an iteration.
    """
    network = Dense(W)
    last = run(algorithm, problem, network, 7).rows[-1]
    counted = last["rounds"] / 7, last["floats"] / 7 / network.links
    declared = rounds, floats
    assert counted == declared, f"rounds and floats are {counted}, declared were {declared}"
    return int(counted[1])


def _gap(a: Tensor, b: Tensor) -> float:
    return float(np.abs(torch.sub(a, b).cpu().numpy()).max())
