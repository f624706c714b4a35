"""Where a run starts: at the starts of its problem, or warm, at what another run found."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from dsbo import provenance
from dsbo.algorithms import Algorithm
from dsbo.algorithms.base import State
from dsbo.network import PerLevel
from dsbo.network.ranks import Ranks
from dsbo.problems import Problem
from dsbo.projections import Projection
from dsbo.trace import Trace

Start = Trace | State | tuple[Tensor, Tensor]


class Warm(NamedTuple):
    """What a run takes over.

    Parameters
    ----------
    told : dict
        The names of the ``variables`` and the ``sha256`` of their numbers.
    parts : dict of str to Tensor
        The variables ``[N, …]`` of all agents; on other ranks than 0 none.
    """

    told: dict[str, Any]
    parts: dict[str, Tensor]


def warm(start: Start | None, algorithm: Algorithm, problem: Problem, ranks: Ranks) -> Warm | None:
    """Return what a run takes over from ``start``, which of several processes rank 0 looks at.

    Raises
    ------
    TypeError, ValueError
        If it is no start of this method on this problem.
    """
    parts = dict[str, Tensor]()

    def look() -> dict[str, Any] | None:
        if start is None:
            return None
        parts.update(_taken(start, algorithm, problem))
        return {"variables": [*parts], "sha256": provenance.digest(tuple(parts.values()))}

    told = ranks.broadcast(look)
    return None if told is None else Warm(told, parts)


def first(
    algorithm: Algorithm,
    problem: Problem,
    network: PerLevel,
    given: Warm | None,
    project: Projection | None,
) -> Any:
    """Return the State of the agents held here before the first iteration, x in its set."""
    ranks, n = network.x.ranks, len(network.x.held)

    def taken(name: str, like: Tensor) -> Tensor:
        if given is None or name not in given.told["variables"]:
            return like
        return ranks.scatter_rows(given.parts.get(name), like, problem.agents)

    x, y = (row.expand(n, -1).clone() for row in (problem.x0, problem.y0))
    state = algorithm.init(taken("x", x), taken("y", y))
    if given is not None and len(given.told["variables"]) > 2:
        state = type(state)(*(taken(name, part) for name, part in state._asdict().items()))
    return state if project is None else state._replace(x=project(state.x))


def _taken(start: Any, algorithm: Algorithm, problem: Problem) -> dict[str, Tensor]:
    """Return the variables of a start, each looked at."""
    state = start.state if isinstance(start, Trace) else start
    if isinstance(state, algorithm.State):
        parts = state._asdict()
    elif hasattr(state, "x") and hasattr(state, "y"):
        parts = {"x": state.x, "y": state.y}
    elif isinstance(state, tuple | list) and len(state) == 2:
        parts = dict(zip("xy", state, strict=True))
    elif isinstance(start, Trace):
        raise ValueError(
            "start is a trace without a State, as one read from a file or of a run that broke off; "
            "give (x, y), or go on with checkpoint=… and resume=True"
        )
    else:
        raise TypeError(
            "start must be the Trace of a run, its State, or a pair (x, y) of tensors, got "
            f"{start!r}"
        )
    like = algorithm.init(problem.x0[None], problem.y0[None])._asdict()
    return {
        name: _fitting(name, part, like[name], algorithm, problem) for name, part in parts.items()
    }


def _fitting(name: str, part: Any, like: Tensor, algorithm: Algorithm, problem: Problem) -> Tensor:
    """Return a copy of a variable, or say why no run can start there."""
    shape = (problem.agents, *like.shape[1:])
    if not isinstance(part, Tensor):
        raise TypeError(f"{name} of the start must be a tensor {[*shape]}, got {part!r}")
    if part.shape != shape:
        remedy = "give each agent a row, as x.expand(N, -1) does"
        if name not in ("x", "y"):
            remedy = "give (x, y) to start from these alone"
        raise ValueError(f"{name} of the start is {[*part.shape]}, not {[*shape]}; {remedy}")
    if part.dtype != like.dtype:
        raise ValueError(
            f"{name} of the start is {part.dtype}, the problem {like.dtype}; convert it by "
            f".to({like.dtype})"
        )
    if not part.isfinite().all():
        raise ValueError(f"{name} of the start holds NaN or infinity; give finite numbers")
    if algorithm.centralised and bool((part != part[0]).any()):
        raise ValueError(
            f"{type(algorithm).__name__} is centralised, so all agents have one {name}, but their "
            f"rows of the start differ; give their mean, {name}.mean(0).expand({shape[0]}, -1)"
        )
    return part.detach().to(like.device, copy=True)
