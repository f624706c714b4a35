"""The theory's predictions for D-SOBA on a nonlinear problem: bias at rest and transient time.

The problem is D-SOBA's Experiment 1 made small and well conditioned, so that its point of rest can
be solved for and its transient is short enough to be waited for.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial

from dsbo import graphs, mixing
from dsbo.algorithms import DSOBA
from dsbo.network import Dense, Network
from dsbo.problems import Problem
from dsbo.schedules import Constant
from dsbo_book.data import synthetic
from dsbo_book.experiments.jobs import Job, Start
from dsbo_book.problems import logistic_regression


@dataclass(frozen=True)
class Settings:
    """What shapes the numbers of the experiment.

    Parameters
    ----------
    agents, features, samples, heterogeneity, upper_ridge
        Of the problem; see `task`.
    batch : int
        Samples that an agent draws of each kind in an iteration.
    alpha, beta : float
        Steps of x, and of y and z, in units of √(N/T).
    theta : float
        Weight of the newest direction in the moving average.
    self_weights : tuple of float
        Of the rings; a run on the complete graph goes with each horizon.
    horizons : tuple of int
        Numbers T of iterations.
    rows : int
        Rows that a run records, whatever its horizon.
    seeds : tuple of int
        That are reported.
    """

    agents: int = 8
    features: int = 4
    samples: int = 100
    heterogeneity: float = 3.0
    upper_ridge: float = 0.02
    batch: int = 5
    alpha: float = 20.0
    beta: float = 1.0
    theta: float = 0.5
    self_weights: tuple[float, ...] = (0.2, 1 / 3, 0.45, 0.55, 0.65)
    horizons: tuple[int, ...] = tuple(2**k for k in range(6, 14))
    rows: int = 32
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


SCALES = {
    "paper": Settings(),
    "quick": Settings(self_weights=(1 / 3,), horizons=(64, 128), seeds=(0,)),
}
NOT_TOLD = ("self_weights", "horizons", "rows", "seeds")


@lru_cache(maxsize=16)
def task(
    agents: int,
    features: int,
    samples: int,
    heterogeneity: float,
    upper_ridge: float,
    batch: int | None = None,
    seed: int = 0,
) -> Problem:
    """Return a logistic regression of two classes in double precision, all features useful.

    Parameters
    ----------
    agents, features, heterogeneity, seed
        See `synthetic.classification`.
    samples : int
        An agent's samples of each of two kinds.
    upper_ridge, batch
        See `logistic_regression`.
    """
    a, c = synthetic.classification(
        agents, 2 * samples + 1, features, features, 2, heterogeneity, seed=seed
    )
    train, validation = slice(0, samples), slice(samples, 2 * samples)
    return logistic_regression(
        train=(a[:, train], c[:, train]),
        validation=(a[:, validation], c[:, validation]),
        test=(a[:, -1], c[:, -1]),
        batch=batch,
        upper_ridge=upper_ridge,
    )


def ring(agents: int, self_weight: float) -> Network:
    """Return a ring on which an agent keeps ``self_weight`` of its own."""
    return Dense(mixing.uniform(graphs.ring(agents), self_weight=self_weight))


def jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs: every horizon on every ring and on the complete graph."""
    seeds = settings.seeds if seeds is None else tuple(seeds)
    weights = (None, *settings.self_weights)
    return [
        job(settings, T, weight, seed)
        for T, weight, seed in itertools.product(settings.horizons, weights, seeds)
    ]


def job(settings: Settings, T: int, self_weight: float | None, seed: int) -> Job:
    """Return one run; without a self weight it is on the complete graph."""
    told = {k: v for k, v in asdict(settings).items() if k not in NOT_TOLD}
    graph = "complete" if self_weight is None else "adjusted ring"
    told |= {"experiment": "nonlinear", "method": "D-SOBA", "graph": graph}
    told |= {"self_weight": self_weight, "seed": seed}
    where = graph if self_weight is None else f"ring-{self_weight:.3g}"
    return Job(
        name=f"{where}_T-{T}_seed-{seed}",
        told=told,
        start=partial(_start, settings, T, self_weight),
        steps=T,
        record=T // settings.rows,
    )


def _start(settings: Settings, T: int, self_weight: float | None) -> Start:
    s = settings
    problem = task(s.agents, s.features, s.samples, s.heterogeneity, s.upper_ridge, s.batch)
    scale = (s.agents / T) ** 0.5
    alpha, beta = Constant(s.alpha * scale), Constant(s.beta * scale)
    algorithm = DSOBA(alpha, beta, beta, Constant(s.theta))
    complete = Dense(mixing.average(s.agents))
    return algorithm, problem, complete if self_weight is None else ring(s.agents, self_weight)
