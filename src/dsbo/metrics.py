"""What a trace records about the state of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from dsbo.checked import real

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


def row(
    counted: Mapping[str, Any],
    measure: Callable[[Algorithm, Problem, Any], Any],
    algorithm: Algorithm,
    problem: Problem,
    state: Any,
) -> dict[str, Any]:
    """Return a row of what a run counted and what a ``measure`` finds, as plain numbers.

    Raises
    ------
    TypeError, ValueError
        If ``measure`` is no function, or gives no dict, one with a name that a run uses, something
        that is no number, or writes into the state.
    """
    if not callable(measure):
        raise TypeError(f"measure must be a function that gives a dict, got {measure!r}")
    followed = [part for part in state if not part.is_inference()]
    before = [part._version for part in followed]
    told = joined(counted, measure(algorithm, problem, state))
    if before != [part._version for part in followed]:
        raise ValueError("measure wrote into the state of the run; let it work on a clone()")
    return {
        k: v if k in counted or isinstance(v, bool) else real(v, f"the metric {k!r}", finite=False)
        for k, v in told.items()
    }


def joined(known: Mapping[str, Any], found: Any) -> dict[str, Any]:
    """Return what is known and what somebody measured, or say that a name is taken."""
    if not isinstance(found, Mapping):
        raise TypeError(f"metrics must be a dict of numbers, what measured gave {found!r}")
    if taken := known.keys() & found.keys():
        raise ValueError(f"a metric is called {taken.pop()!r}, as a column of the run; rename it")
    return {**known, **found}


def measure(algorithm: Algorithm, problem: Problem, state: State) -> dict[str, float]:
    """Return the upper loss, the problem's own metrics and the consensus of mixed variables."""
    where = state.x, state.y, algorithm.shared_lower
    found = {"upper_loss": problem.upper_loss(*where)}
    own = {} if problem.metrics is None else problem.metrics(problem, *where)
    spread = {"consensus_x": consensus(state.x)}
    if algorithm.shared_lower:
        spread["consensus_y"] = consensus(state.y)
    return joined(joined(found, own), spread)
