"""D-SOBA Experiment 2: cleaning corrupted Fashion-MNIST over four graphs.

Kong et al. 2025. Ten agents hold 50 000 training samples, a share of them with wrong labels, and
10 000 clean ones; an agent's classes are skewed by a Dirichlet draw. What the slides leave open is
set here, once: the corruption rates, the skew, the batch, the steps, the weights of the graphs.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch

from dsbo import data, graphs, mixing
from dsbo.algorithms import DSOBA
from dsbo.data import Dataset
from dsbo.experiments.jobs import Job, Start
from dsbo.network import Dense, Network
from dsbo.problems import Cleaning
from dsbo.problems.cleaning import Split

TITLE = "D-SOBA cleans corrupted Fashion-MNIST over four graphs (Kong et al. 2025, Experiment 2)"
GRAPHS = ("complete", "exponential", "torus", "adjusted ring")
METHODS = ("D-SOBA", "unweighted", "clean only")
"""D-SOBA; training on all samples alike (the floor); on the clean ones alone (the ceiling)."""
HELD_OUT = (100, 101)
"""Seeds for tuning, never reported."""


@dataclass(frozen=True)
class Settings:
    """What shapes the numbers of the experiment.

    Parameters
    ----------
    dataset : str
        ``fashion_mnist`` or ``digits``.
    train, clean : int
        Training and clean samples of all agents together.
    rates : tuple of float
        Shares of training labels that are corrupted.
    concentration : float
        Of the Dirichlet distribution of an agent's class shares; small is skewed.
    hidden, ridge, batch
        See `Cleaning`.
    self_weight : float
        What an agent of the adjusted ring keeps of its own.
    alpha, beta, gamma, theta : float
        Steps of D-SOBA. The floor and the ceiling train with the same beta.
    steps, record, seeds
        Iterations, rows, and the seeds that are reported.
    """

    dataset: str = "fashion_mnist"
    agents: int = 10
    train: int = 50_000
    clean: int = 10_000
    rates: tuple[float, ...] = (0.2, 0.1, 0.3)
    concentration: float = 0.1
    hidden: int = 300
    ridge: float = 1e-3
    batch: int = 50
    self_weight: float = 0.8
    alpha: float = 1000.0
    beta: float = 0.1
    gamma: float = 0.1
    theta: float = 0.2
    steps: int = 1000
    record: int = 50
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


SCALES = {
    "paper": Settings(),
    "quick": Settings(
        train=5_000, clean=1_000, rates=(0.2,), steps=150, record=25, alpha=100.0, seeds=(0,)
    ),
    "digits": Settings(
        dataset="digits",
        train=1_000,
        clean=400,
        rates=(0.2,),
        steps=150,
        record=25,
        alpha=30.0,
        seeds=(0,),
    ),
}
"""``quick`` is what a page runs, ``digits`` what it runs where Fashion-MNIST cannot be had."""


def jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs of the experiment.

    D-SOBA on every graph at every rate, the floor and the ceiling on the complete graph.
    """
    seeds = settings.seeds if seeds is None else tuple(seeds)
    cells = [("D-SOBA", graph) for graph in GRAPHS]
    cells += [(method, "complete") for method in METHODS[1:]]
    return [
        job(settings, method, graph, rate, seed)
        for rate, (method, graph), seed in itertools.product(settings.rates, cells, seeds)
    ]


def job(settings: Settings, method: str, graph: str, rate: float, seed: int) -> Job:
    """Return one run."""
    told = {
        key: value
        for key, value in asdict(settings).items()
        if key not in ("rates", "seeds", "steps", "record")
    }
    told |= {"experiment": "cleaning", "method": method, "graph": graph, "rate": rate, "seed": seed}
    words = (method, graph, f"rate {rate}", f"seed {seed}")
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
def problem(settings: Settings, rate: float, seed: int) -> Cleaning:
    """Return the problem that the agents face at one rate with one seed.

    All 60 000 labelled samples are dealt out by a Dirichlet draw; an agent's clean samples are a
    random part of its shard, so that they follow the same class shares as its training samples.
    """
    source = _source(settings.dataset)
    rng = np.random.default_rng(seed)
    n, N = settings.train + settings.clean, settings.agents
    pool = rng.permutation(len(source.y_train))[:n]
    shards = data.split.dirichlet(source.y_train[pool], N, settings.concentration, seed)
    mine, clean = np.split(pool[shards], [settings.train // N], axis=1)
    labels, corrupted = data.split.corrupt(source.y_train[mine].ravel(), rate, source.classes, seed)
    split = Split(
        train=(source.x_train[mine], torch.as_tensor(labels).reshape(mine.shape)),
        clean=(source.x_train[clean], source.y_train[clean]),
        test=(source.x_test, source.y_test),
        corrupted=torch.as_tensor(corrupted).reshape(mine.shape),
        classes=source.classes,
    )
    return Cleaning(
        split,
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
    steps: dict[str, Any] = {k: getattr(settings, k) for k in ("alpha", "beta", "gamma", "theta")}
    task = problem(settings, rate, seed)
    if method != "D-SOBA":
        # x rests where it starts: D-SOBA with alpha = 0 is DSGD on the lower level alone.
        steps["alpha"] = 0.0
    if method == "unweighted":
        task = task.trusting(clean=40.0, corrupted=40.0)
    if method == "clean only":
        task = task.trusting(clean=40.0, corrupted=-40.0)
    return DSOBA(**steps), task, network(graph, settings)


@lru_cache(maxsize=1)
def _source(name: str) -> Dataset:
    source: Dataset = getattr(data, name)()
    return source
