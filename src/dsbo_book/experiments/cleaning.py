"""D-SOBA Experiment 2: cleaning corrupted Fashion-MNIST over four graphs.

Kong et al. 2025. Ten agents hold 50 000 training samples, a share of them with wrong labels, and
10 000 clean ones; an agent's classes are skewed by a Dirichlet draw. What the slides leave open is
set here, once: the corruption rates, the skew, the batch, the steps, the weights of the graphs.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from dsbo import graphs, mixing
from dsbo.algorithms import DSOBA, Algorithm, SingleLevelDSGD
from dsbo.network import Dense, Network
from dsbo.problems import Problem
from dsbo.schedules import Power, as_schedule
from dsbo_book import data
from dsbo_book.experiments.jobs import Job, Start, loaded
from dsbo_book.problems import hyper_cleaning
from dsbo_book.problems.cleaning import trusting

GRAPHS = ("complete", "exponential", "torus", "adjusted ring")
METHODS = ("D-SOBA", "unweighted", "clean only")
"""D-SOBA; training on all samples alike (the floor); on the clean ones alone (the ceiling)."""
HELD_OUT = (100, 101)
"""Seeds for tuning, never reported."""
CANDIDATES: dict[str, dict[str, list[dict[str, Any]]]] = {
    "D-SOBA": {
        "all": [
            {"beta": 0.8, "alpha": 1000.0},
            {"beta": 0.8, "alpha": 2000.0},
            {"beta": 1.2, "alpha": 2000.0},
        ],
        "tenth": [
            {"beta": 0.5, "alpha": 500.0},
            {"beta": 0.8, "alpha": 500.0},
            {"beta": 0.8, "alpha": 200.0},
        ],
    },
    "unweighted": {
        "all": [{"beta_unweighted": beta} for beta in (0.3, 0.5, 0.8)],
        "tenth": [{"beta_unweighted": beta} for beta in (0.2, 0.35, 0.5)],
    },
    "clean only": {
        "all": [{"beta_clean": beta} for beta in (0.3, 0.5, 0.8)],
        "tenth": [{"beta_clean": beta} for beta in (0.2, 0.35, 0.5)],
    },
}
"""By method, for all the data and for a tenth of it or less; the same number for every method."""


@dataclass(frozen=True)
class Settings:
    """What shapes the numbers of the experiment.

    Parameters
    ----------
    dataset : str
        See `dsbo_book.data.load`.
    train, clean : int
        Training and clean samples of all agents together.
    rates : tuple of float
        Shares of training labels that are corrupted.
    graphs : tuple of str
        Graphs that D-SOBA runs on, the complete one first.
    concentration : float
        Of the Dirichlet distribution of an agent's class shares; small is skewed.
    hidden, ridge, batch
        See `hyper_cleaning`.
    self_weight : float
        What an agent of the adjusted ring keeps of its own.
    alpha, beta, gamma, theta : float
        Steps of D-SOBA.
    beta_unweighted, beta_clean : float
        Steps of the floor and of the ceiling.
    decay : float
        Every beta is meant at t = 0 and falls like t^(-1/2) from this iteration on.
    steps, record, seeds
        Iterations, rows, and the seeds that are reported.
    """

    dataset: str = "fashion_mnist"
    agents: int = 10
    train: int = 50_000
    clean: int = 10_000
    rates: tuple[float, ...] = (0.2, 0.1, 0.3)
    graphs: tuple[str, ...] = GRAPHS
    concentration: float = 0.1
    hidden: int = 300
    ridge: float = 1e-4
    batch: int = 50
    self_weight: float = 0.8
    alpha: float = 2000.0
    beta: float = 1.2
    gamma: float = 0.1
    theta: float = 0.2
    beta_unweighted: float = 0.5
    beta_clean: float = 0.8
    decay: float = 200.0
    steps: int = 2000
    record: int = 50
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


BETA = {"D-SOBA": "beta", "unweighted": "beta_unweighted", "clean only": "beta_clean"}
"""The setting that holds a method's step of y."""
ALONE = ("alpha", "gamma", "theta", "self_weight")
OF_OTHERS = {
    "D-SOBA": ("beta_unweighted", "beta_clean"),
    "unweighted": ("beta", "beta_clean", *ALONE),
    "clean only": ("beta", "beta_unweighted", *ALONE),
}
"""Settings that do not shape a method's numbers, and so cannot make its traces stale."""

SCALES = {
    "paper": Settings(),
    "small": Settings(
        train=5_000,
        clean=1_000,
        rates=(0.2,),
        graphs=("complete",),
        alpha=200.0,
        beta=0.8,
        beta_clean=0.5,
        steps=500,
        record=25,
    ),
    "quick": Settings(
        dataset="fashion_mnist-sample",
        train=4_000,
        clean=1_000,
        rates=(0.2,),
        steps=120,
        record=20,
        alpha=500.0,
        beta=0.8,
        beta_clean=0.5,
        seeds=(0,),
    ),
}
"""``quick`` is what a page runs, on the sample that comes with the package; ``small`` has a tenth
of the data, where a network memorises wrong labels sooner."""


def jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs of the experiment.

    At the first rate D-SOBA on every graph; at every rate D-SOBA, the floor and the ceiling on the
    complete one.
    """
    seeds = settings.seeds if seeds is None else tuple(seeds)
    cells = [("D-SOBA", graph, settings.rates[0]) for graph in settings.graphs[1:]]
    cells += [(method, "complete", rate) for rate in settings.rates for method in METHODS]
    return [job(settings, *cell, seed) for cell, seed in itertools.product(cells, seeds)]


def tuning_jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs that chose the steps: three candidates a method, on held-out seeds."""
    seeds = HELD_OUT if seeds is None else tuple(seeds)
    amount = "all" if settings.train == Settings.train else "tenth"
    return [
        job(replace(settings, **candidate), method, "complete", settings.rates[0], seed)
        for method, candidates in CANDIDATES.items()
        for candidate, seed in itertools.product(candidates[amount], seeds)
    ]


def job(settings: Settings, method: str, graph: str, rate: float, seed: int) -> Job:
    """Return one run."""
    told = asdict(settings)
    for key in ("rates", "graphs", "seeds", "steps", "record", *OF_OTHERS[method]):
        del told[key]
    told |= {"experiment": "cleaning", "method": method, "graph": graph, "rate": rate, "seed": seed}
    steps = [f"{k} {told[k]:g}" for k in ("alpha", *BETA.values()) if k in told]
    words = (method, graph, f"rate {rate}", *steps, f"seed {seed}")
    return Job(
        name="_".join(word.replace(" ", "-").lower() for word in words),
        told=told,
        start=partial(_start, settings, method, graph, rate, seed),
        steps=settings.steps,
        record=settings.record,
        keep=(method, graph, seed) == ("D-SOBA", "complete", settings.seeds[0]),
    )


def network(graph: str, settings: Settings) -> Network:
    """Return the weights of one of the four graphs."""
    N = settings.agents
    made = {
        "complete": lambda: mixing.average(N),
        "exponential": lambda: mixing.uniform(graphs.exponential(N)),
        "torus": lambda: mixing.uniform(graphs.torus(2, N // 2)),
        "adjusted ring": lambda: mixing.uniform(graphs.ring(N), self_weight=settings.self_weight),
    }
    return Dense(made[graph]())


@lru_cache(maxsize=1)
def problem(settings: Settings, rate: float, seed: int) -> Problem:
    """Return the problem that the agents face at one rate with one seed.

    All 60 000 labelled samples are dealt out by a Dirichlet draw; an agent's clean samples are a
    random part of its shard, so that they follow the same class shares as its training samples.
    """
    source = loaded(settings.dataset)
    rng = np.random.default_rng(seed)
    n, N = settings.train + settings.clean, settings.agents
    pool = rng.permutation(len(source.y_train))[:n]
    shards = data.split.dirichlet(source.y_train[pool], N, settings.concentration, seed)
    mine, clean = np.split(pool[shards], [settings.train // N], axis=1)
    true = source.y_train[mine]
    given, _ = data.split.corrupt(true.ravel(), rate, source.classes, seed)
    return hyper_cleaning(
        train=(source.x_train[mine], given.reshape(mine.shape)),
        clean=(source.x_train[clean], source.y_train[clean]),
        test=(source.x_test, source.y_test),
        true=true,
        classes=source.classes,
        hidden=settings.hidden,
        ridge=settings.ridge,
        batch=settings.batch,
        seed=seed,
        settings={
            "dataset": settings.dataset,
            "rate": rate,
            "concentration": settings.concentration,
        },
    )


def _start(settings: Settings, method: str, graph: str, rate: float, seed: int) -> Start:
    beta0 = getattr(settings, BETA[method])
    beta = Power(beta0 * settings.decay**0.5, settings.decay, 0.5)
    task = problem(settings, rate, seed)
    if method == "D-SOBA":
        alpha, gamma, theta = map(as_schedule, (settings.alpha, settings.gamma, settings.theta))
        algorithm: Algorithm = DSOBA(alpha, beta, gamma, theta)
    else:
        algorithm = SingleLevelDSGD(beta)
        # sigmoid(40) is 1 and sigmoid(-40) is 0 in single precision.
        task = trusting(task, clean=40.0, corrupted=40.0 if method == "unweighted" else -40.0)
    return algorithm, task, network(graph, settings)
