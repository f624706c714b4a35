"""What a run asks of its arguments before it starts."""

from __future__ import annotations

import math
import os
import re
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from dsbo import mixing
from dsbo.algorithms import ALGORITHMS, Algorithm
from dsbo.chunked import Chunked
from dsbo.hypergrad import curvature
from dsbo.network import Dense, Network, Peers, PerLevel
from dsbo.network.ranks import ALONE, Ranks, here
from dsbo.problems import Problem
from dsbo.projections import Projection
from dsbo.world import Draws

MADE = {"algorithm": "DSOBA(0.1, 0.1, 0.1)", "problem": "Problem.from_losses(…)"}


def agree(ranks: Ranks, told: dict[str, Any]) -> None:
    """Refuse to start if a rank was started with other settings than rank 0."""
    first, *others = ranks.gather(told)
    for rank, other in enumerate(others, 1):
        if differ := [key for key in first if other[key] != first[key]]:
            shown = "; ".join(f"{k} is {other[k]}, on rank 0 {first[k]}" for k in differ)
            raise ValueError(
                f"rank {rank} was started otherwise than rank 0: {shown}. "
                "Start every rank with the same settings"
            )


def fitting(
    algorithm: Algorithm, problem: Problem, network: Network | PerLevel | None
) -> Network | PerLevel:
    """Return the network to use, or raise a ValueError that says why the given one does not fit."""
    for what, value, kind in (("algorithm", algorithm, Algorithm), ("problem", problem, Problem)):
        if not isinstance(value, kind):
            told = f"the class {value.__name__}" if isinstance(value, type) else repr(value)
            raise TypeError(f"{what} must be made as in {MADE[what]}, got {told}")
    name, N = type(algorithm).__name__, problem.agents
    if network is None:
        if not algorithm.centralised and N > 1:
            raise ValueError(
                f"{name} needs a network of {N} agents, for instance "
                f"Dense(mixing.metropolis(graphs.ring({N})))"
            )
        return Dense(mixing.average(N)) if here() is ALONE else Peers(mixing.average(N))
    if not isinstance(network, Network | PerLevel):
        raise TypeError(f"network must be a Network such as Dense(W), got {type(network).__name__}")
    started = os.environ.get("WORLD_SIZE", "1")
    for level in network.levels.distinct:
        level.check_ranks()
        if here() is ALONE and started != "1":
            raise ValueError(
                f"{started} processes were started, and each would hold all agents; run inside "
                "`with dsbo.network.join():`, with Peers(W), or start one process"
            )
        if here() is not ALONE and level.ranks is ALONE:
            raise ValueError(
                f"{type(level).__name__} holds all agents in every process that has joined others; "
                "take Peers(W), or run outside `with join():`"
            )
        if level.agents != N:
            raise ValueError(
                f"the network has {level.agents} agents, the problem {N}; "
                "make the graph with as many agents as the problem has"
            )
    if algorithm.centralised and network.rho > 1e-12:
        raise ValueError(
            f"{name} is centralised and averages exactly, but the network has rho = "
            f"{network.rho:.3g}; leave the network out"
        )
    if len({id(level.ranks) for level in network.levels}) > 1:
        raise ValueError("x, y and z are mixed by different processes; give Peers for all or none")
    algorithm.fits(*network.levels)
    return network


def place(device: torch.device | str) -> torch.device:
    """Return a device, or say why nothing can be computed there."""
    if not isinstance(device, str | torch.device):
        raise TypeError(f"device must be a name such as 'cpu' or 'cuda:0', got {device!r}")
    try:
        one = torch.ones(1, device=device)
        one.item()
    except (AssertionError, ImportError, RuntimeError) as error:  # as PyTorch says it
        why = re.split(r"\.\s|\n", str(error))[0].rstrip(".")
        raise ValueError(
            f"nothing can be computed on the device {str(device)!r}: {why}. Give cpu, or cuda if "
            "there is a GPU"
        ) from error
    return one.device


def placed(problem: Problem, device: torch.device | str | None) -> Problem:
    """Return the problem on a device on which something can be computed."""
    return problem.to(place(problem.x0.device if device is None else device))


def curvatures(
    problem: Problem,
    agents: Tensor,
    zeta: Any,
    shared: bool,
    ranks: Ranks,
    chunk: int | None,
    where: tuple[Tensor, Tensor] | None = None,
) -> tuple[float, float, int]:
    """Return the outermost curvatures of the lower level at a point, the same on all ranks.

    Parameters
    ----------
    agents, zeta
        Those held here, and their batches.
    where : tuple of Tensor, optional
        Their x ``[n, d]`` and y ``[n, p]``; by default the start.
    shared : bool
        Of the mean of all agents, else the smallest and the largest of any.
    chunk : int or None
        As in `run`.

    Returns
    -------
    tuple of float, float and int
        The smallest, the largest, and the agent whose it is.
    """

    def mean(rows: Tensor) -> Tensor:
        parts = [part.to(rows) for part in ranks.gather(rows.sum(0, keepdim=True))]
        return torch.cat(parts).sum(0, keepdim=True) / problem.agents

    g = problem.g if chunk is None else Chunked.of(problem.g, chunk)
    x, y = where or (row.expand(len(agents), -1) for row in (problem.x0, problem.y0))
    found = curvature(g, x, y, zeta, mean if shared else None, products=8)
    low, high = (list(chain.from_iterable(ranks.gather(part.tolist()))) for part in found)
    return min(low), max(high), high.index(max(high))


def lowest_curvature(
    problem: Problem, draw: Draws, shared: bool, ranks: Ranks, chunk: int | None
) -> float:
    """Return the smallest curvature of the lower level at the start, 0 if rounding made it."""
    rounding = torch.finfo(problem.y0.dtype).eps ** 0.5
    for zeta, size in ((draw.zeta(0), chunk), (problem.lower.full(draw.agents), chunk or 1)):
        low, high, _ = curvatures(problem, draw.agents, zeta, shared, ranks, size)
        if not low < -rounding * high:  # of a batch it may be, of all data it is meant
            return 0.0
    return low


def require_bound(
    algorithm: Algorithm, problem: Problem, draw: Draws, ranks: Ranks, chunk: int | None
) -> None:
    """Raise a ValueError if the Neumann series diverges at the start, the bound L is so small."""
    if told := beyond_bound(algorithm, problem, draw, ranks, chunk):
        raise ValueError(told)


def beyond_bound(
    algorithm: Algorithm,
    problem: Problem,
    draw: Draws,
    ranks: Ranks,
    chunk: int | None,
    t: int = 0,
    where: tuple[Tensor, Tensor] | None = None,
) -> str:
    """Return why the method's Neumann series diverges at iteration t, or nothing if it does not.

    A batch is looked at first, and only if that is suspicious all data.
    """
    shared, L = algorithm.inverts == "mean", getattr(algorithm, "L", math.inf)
    if not algorithm.inverts or getattr(algorithm, "K", 2) == 1:
        return ""
    agents, know = draw.agents, (shared, ranks, chunk)
    _, high, worst = curvatures(problem, agents, draw.zeta(t), *know, where)
    if high > 2 * L and shared:
        _, high, _ = curvatures(problem, agents, problem.lower.full(agents), *know, where)
    elif high > 2 * L:
        own = agents == worst  # held by one rank
        some = None if where is None else (where[0][own], where[1][own])
        found = 0.0
        if own.any():
            every = problem.lower.full(agents[own])
            _, found, _ = curvatures(problem, agents[own], every, shared, ALONE, chunk, some)
        high = max(ranks.gather(found))
    if not high > 2 * L:
        return ""
    whose = "the mean lower loss" if shared else f"the lower loss of agent {worst}"
    place = f"after {t} iterations" if t else "at the start"
    return (
        f"{type(algorithm).__name__}.L is {L:g}, but {whose} has curvature {high:.3g} "
        f"{place}, and where that exceeds 2 L the Neumann series diverges; take an L that "
        "no curvature exceeds"
    )


def require_told(algorithm: Algorithm) -> None:
    """Raise a TypeError if a schedule would have another name in the next process."""
    for name in algorithm.schedules:
        value = getattr(algorithm, name)
        if " at 0x" in repr(value):
            raise TypeError(
                f"{type(algorithm).__name__}.{name} is {value!r}, which a later process cannot "
                "tell from another one, so the run could not be resumed; take Power(…), or write "
                "the schedule as a frozen dataclass with __call__"
            )


def require_projection(
    project: Projection, algorithm: Algorithm, problem: Problem, kept: bool
) -> None:
    """Raise a TypeError or ValueError if x cannot be projected by this in a run of this method.

    Parameters
    ----------
    project : callable
        As in `run`.
    algorithm, problem : Algorithm and Problem
        What runs.
    kept : bool
        Whether a later process must know the projection by its name.
    """
    if not callable(project) or isinstance(project, type):
        raise TypeError(f"project must be made as in Box(0, 1), got {project!r}")
    if not algorithm.projectable:
        known = ", ".join(kind.__name__ for kind in ALGORITHMS if kind.projectable)
        raise ValueError(
            f"where {type(algorithm).__name__} rests with a projected x was not derived; take one "
            f"of {known}, or leave x free and let the losses use low + (high - low) * sigmoid(x)"
        )
    if kept and " at 0x" in repr(project):
        raise TypeError(
            f"project is {project!r}, which a later process cannot tell from another one, so the "
            "run could not be resumed; write it as a frozen dataclass with __call__"
        )
    rows = problem.x0.repeat(2, 1)
    found = project(rows)
    if not isinstance(found, Tensor) or (found.shape, found.dtype) != (rows.shape, rows.dtype):
        told = f"{found.dtype} {[*found.shape]}" if isinstance(found, Tensor) else repr(found)
        raise ValueError(
            f"project must give rows as it gets them, {rows.dtype} {[*rows.shape]}, got {told}"
        )
    if not torch.equal(rows, problem.x0.expand_as(rows)):
        raise ValueError("project wrote into what it was called with; let it work on a clone()")
    if not found.isfinite().all():
        raise ValueError(f"project gives {found[0]} for the start, which is not finite")
