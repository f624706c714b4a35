"""Search around the steps of a method: successive halving, every rung one sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import torch

from dsbo import metrics
from dsbo.algorithms import Algorithm
from dsbo.checked import real, whole
from dsbo.going import Measure
from dsbo.network import Network, PerLevel
from dsbo.problems import Problem
from dsbo.schedules import Constant, Power, Schedule
from dsbo.sweep import sweep
from dsbo.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

A = TypeVar("A", bound=Algorithm)
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
HELD_OUT = (100, 101)
"""Seeds to tune on; report others."""
SHARES = (0.25, 0.5, 1.0)
"""Of the iterations that the rungs run for; a third of the candidates goes on."""
MOVES = {"x": ("upper",), "y": ("lower", "auxiliary")}
"""What is scaled together: the step of x; those of y and z."""


@dataclass(frozen=True)
class Tuned(Generic[A]):
    """What a search found; print it.

    Parameters
    ----------
    algorithm : Algorithm
        The best.
    table : list of dict
        A row for every candidate: by what its steps of ``x`` and ``y`` were multiplied, the
        iterations of its last rung, and its score there.
    metric : str
        What was compared.
    edges : list of str
        What to do if the best lies at an edge of what was tried; empty if it does not.
    """

    algorithm: A
    table: list[dict[str, float]]
    metric: str
    edges: list[str]

    @property
    def frame(self) -> pd.DataFrame:
        """The table as a DataFrame, where pandas is installed."""
        import pandas as pd

        return pd.DataFrame(self.table)

    def __str__(self) -> str:
        names = list(self.table[0])
        rows = [names, *([f"{row[name]:.4g}" for name in names] for row in self.table)]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.rjust, row, wide)) for row in rows]
        return "\n".join([*lines, repr(self.algorithm), *self.edges])


def tune(
    algorithm: A,
    problem: Problem,
    network: Network | PerLevel | None = None,
    steps: int = 1000,
    metric: str = "upper_loss",
    seeds: Sequence[int] = HELD_OUT,
    factors: Sequence[float] = FACTORS,
    device: torch.device | str | None = None,
    progress: bool | None = None,
    *,
    measure: Measure = metrics.measure,
    compile: bool = False,  # noqa: A002
) -> Tuned[A]:
    """Return the best of a method's steps multiplied by factors, x apart from y and z.

    All pairs of factors run for a quarter of the iterations, the best third goes on to half, the
    best third of these to all. A score is the mean of a metric over the last quarter of the rows
    and over the seeds, infinite if one run diverges; the smallest is best.

    Parameters
    ----------
    algorithm : Algorithm
        Around which steps; for instance what `suggest` found.
    problem, network, steps, device, progress, measure, compile
        As in `sweep`.
    metric : str
        A column of the rows.
    seeds : sequence of int
        Held out: a result on other seeds is not flattered by the search.
    factors : sequence of float
        What steps are multiplied by, positive and increasing.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, there is no such metric, or every candidate diverges.

    Examples
    --------
    >>> from dsbo import DSOBA, Dense, mixing
    >>> from dsbo.problems import Quadratic
    >>> problem = Quadratic.random(4, 2, 2, 1.0, seed=0)
    >>> found = tune(DSOBA(0.05, 0.1, 0.1), problem, Dense(mixing.average(4)), steps=100)
    >>> len(found.table)
    25
    """
    steps = whole(steps, "steps")
    factors = [real(factor, "a factor", least=0) for factor in factors]
    if not factors or factors[0] <= 0 or factors != sorted(set(factors)):
        raise ValueError(f"factors must be positive and increase, got {factors}")
    seeds = [whole(seed, "seed", least=0) for seed in seeds]
    if not seeds:
        raise ValueError("tune needs at least one seed, got none")
    own = {name: role for name, role in algorithm.roles.items() if name in algorithm.schedules}
    moved = [move for move, roles in MOVES.items() if set(roles) & set(own.values())]
    left = [dict(zip(moved, pair, strict=True)) for pair in product(factors, repeat=len(moved))]
    table: list[dict[str, float]] = []
    for share in SHARES:
        n = max(1, math.ceil(share * steps))
        runs = list(product((_scaled(algorithm, own, pair) for pair in left), seeds))
        traces = sweep(
            runs, problem, network, n, None, device, progress, measure=measure, compile=compile
        )
        scores = np.array([score(trace, metric) for trace in traces]).reshape(len(left), -1).mean(1)
        order = np.argsort(scores, kind="stable")
        rows = [{**left[k], "steps": n, metric: float(scores[k])} for k in order]
        table = rows + table[len(rows) :]
        left = [left[k] for k in order[: math.ceil(len(left) / 3)]]
    best, pair = table[0][metric], left[0]
    if math.isinf(best):
        raise ValueError(
            f"every candidate diverged, also with steps of {factors[0]:g} times {algorithm}; "
            "start from suggest(…), or take smaller factors"
        )
    edges = [
        f"the best step of {move} is {'smallest' if factor == factors[0] else 'largest'} of those "
        "tried; tune once more around this algorithm"
        for move, factor in pair.items()
        if factor in (factors[0], factors[-1]) and len(factors) > 1
    ]
    return Tuned(_scaled(algorithm, own, pair), table, metric, edges)


def score(trace: Trace, metric: str) -> float:
    """Return the mean of a metric over the last quarter of the rows; infinite if it diverged.

    One that is NaN there counts as diverged, too.
    """
    if metric not in trace.rows[0]:
        raise ValueError(f"no metric {metric!r}; the rows have {', '.join(trace.rows[0])}")
    if "diverged" in trace.provenance:
        return math.inf
    values = [float(row[metric]) for row in trace.rows]
    late = values[-max(1, len(values) // 4) :]
    mean = sum(late) / len(late)
    return math.inf if math.isnan(mean) else mean


def _scaled(algorithm: A, roles: dict[str, str], factors: dict[str, float]) -> A:
    """Return a method with steps that are multiplied by the factor of what they move."""
    by = {role: factor for move, factor in factors.items() for role in MOVES[move]}
    steps = {
        name: _times(getattr(algorithm, name), by[role])
        for name, role in roles.items()
        if role in by
    }
    return replace(algorithm, **steps)


def _times(schedule: Schedule, factor: float) -> Schedule:
    if isinstance(schedule, Constant):
        return Constant(schedule.value * factor)
    if isinstance(schedule, Power):
        return replace(schedule, scale=schedule.scale * factor)
    raise TypeError(f"tune multiplies numbers and Power(…), not {schedule!r}")
