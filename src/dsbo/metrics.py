"""What a trace records about the state of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from dsbo.algorithms import Algorithm
    from dsbo.algorithms.base import State
    from dsbo.problems import Problem


def consensus(rows: Tensor) -> float:
    """Return the mean squared distance of ``rows [N, k]`` to their mean.

    >>> import torch
    >>> consensus(torch.tensor([[0.0], [2.0]]))
    1.0
    """
    return float((rows - rows.mean(0)).square().sum(1).mean())


def row(counted: Mapping[str, Any], found: Any) -> dict[str, Any]:
    """Return a row of what a run counted and what a ``measure`` found, as plain numbers.

    Raises
    ------
    TypeError, ValueError
        If ``measure`` gave no dict, or one with a name that a run uses.
    """
    if not isinstance(found, Mapping):
        raise TypeError(f"measure must return a dict of numbers, it returned {found!r}")
    if taken := counted.keys() & found.keys():
        raise ValueError(f"a metric is called {taken.pop()!r}, as what a run counts is")
    return {**counted, **{name: float(value) for name, value in found.items()}}


def measure(algorithm: Algorithm, problem: Problem, state: State) -> dict[str, float]:
    """Return the upper loss, the problem's own metrics and the consensus of mixed variables."""
    where = state.x, state.y, algorithm.shared_lower
    found = {"upper_loss": problem.upper_loss(*where)}
    if problem.metrics is not None:
        found |= problem.metrics(problem, *where)
    found["consensus_x"] = consensus(state.x)
    if algorithm.shared_lower:
        found["consensus_y"] = consensus(state.y)
    return found
