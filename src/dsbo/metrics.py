"""What a trace records about the state of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def measure(algorithm: Algorithm, problem: Problem, state: State) -> dict[str, float]:
    """Return the upper loss, the problem's own metrics and the consensus of mixed variables."""
    where = state.x, state.y, algorithm.shared_lower
    row = {"upper_loss": problem.upper_loss(*where)}
    if problem.metrics is not None:
        row |= problem.metrics(problem, *where)
    row["consensus_x"] = consensus(state.x)
    if algorithm.shared_lower:
        row["consensus_y"] = consensus(state.y)
    return row
