"""Every variable of a run at every iteration, for a page that looks at inequalities along it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dsbo import Algorithm, Dense, Problem, run

__all__ = ["followed"]


def followed(
    algorithm: Algorithm, problem: Problem, network: Dense, steps: int, seed: int = 0
) -> dict[str, Tensor]:
    """Run a method and return each field of its State as ``[steps + 1, N, …]``, the start first.

    Parameters
    ----------
    algorithm, problem, network, steps, seed
        As for `dsbo.run`. All of it stays in memory, so this is for small problems.

    Examples
    --------
    >>> from dsbo import DSOBA, mixing
    >>> from dsbo.problems import Quadratic
    >>> method = DSOBA(alpha=0.1, beta=0.1, gamma=0.1)
    >>> path = followed(method, Quadratic.random(N=4, d=2, p=3), Dense(mixing.average(4)), 5)
    >>> path["y"].shape
    torch.Size([6, 4, 3])
    """
    kept: list[Any] = []

    def keep(_: Algorithm, __: Problem, state: Any) -> dict[str, float]:
        kept.append(state)
        return {}

    run(algorithm, problem, network, steps, seed, every=1, measure=keep)
    return {
        name: torch.stack([getattr(state, name) for state in kept])
        for name in algorithm.State._fields
    }
