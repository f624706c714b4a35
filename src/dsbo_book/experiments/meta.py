"""DIAMOND's Figs 1 to 3: meta-learning on MNIST and CIFAR-10 over Erdős–Rényi graphs.

Qiu et al. 2023, section VI.1. Every agent has a task of its own: classes skewed by a Dirichlet
draw, half of its samples to fit its classifier on, half to ask how well that went. What the paper
leaves open is set here, once: the split, the widths, the batch, K, L, and how long.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from dsbo import graphs, mixing
from dsbo.network import Dense, Network
from dsbo.problems import Problem
from dsbo_book import data
from dsbo_book.experiments import tuning
from dsbo_book.experiments.jobs import Job, Start, loaded
from dsbo_book.experiments.tuning import HELD_OUT, LITERAL, METHODS, NOT_TOLD, Steps
from dsbo_book.problems import meta_learning

GRID = tuning.grid(alphas=(0.03, 0.1, 0.3), betas=(0.1, 0.3))
ON_MNIST = {
    "DIAMOND": Steps(0.3, 0.3),
    "GT-SGD": Steps(0.3, 0.3),
    "M-SGD": Steps(0.1, 0.3),
    "D-SGD": Steps(0.1, 0.3),
}
ON_CIFAR10 = {
    "DIAMOND": Steps(0.1, 0.1),
    "GT-SGD": Steps(0.1, 0.1),
    "M-SGD": Steps(0.03, 0.1),
    "D-SGD": Steps(0.03, 0.1),
}
TUNED = {"mnist": ON_MNIST, "cifar10": ON_CIFAR10, "mnist-sample": ON_MNIST}
"""What the tuner chose, by data set and method; the chapter compares it with the record."""


@dataclass(frozen=True)
class Settings:
    """What shapes the numbers of the experiment.

    Parameters
    ----------
    datasets : tuple of str
        See `dsbo_book.data.load`.
    agents : tuple of int
        Sizes of the network.
    edges : tuple of float
        Edge probabilities; all methods run at the first, DIAMOND on the smallest network at all.
    support, query : int
        An agent's samples of each kind.
    concentration : float
        Of the Dirichlet distribution of an agent's class shares.
    hidden, strength, batch
        See `meta_learning`.
    K : int
        Terms of the Neumann series.
    L : float
        Bound on the lower Hessians. With tanh features and s = 1 half the squared length of the
        features plus s, 11.5, bounds them in any case; on batches they stay below 5.
    literal : bool
        Also run DIAMOND with the steps that the paper prints.
    compile : bool
        Compile the derivatives.
    steps, tuning_steps, record, seeds
        Iterations, those of a tuning run, rows, and the seeds that are reported.
    """

    datasets: tuple[str, ...] = ("mnist", "cifar10")
    agents: tuple[int, ...] = (9, 15)
    edges: tuple[float, ...] = (0.3, 0.5, 0.8)
    support: int = 500
    query: int = 500
    concentration: float = 0.5
    hidden: int = 20
    strength: float = 1.0
    batch: int = 32
    K: int = 10
    L: float = 6.0
    literal: bool = True
    compile: bool = True
    steps: int = 400
    tuning_steps: int = 200
    record: int = 20
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


SCALES = {
    "paper": Settings(),
    "quick": Settings(
        datasets=("mnist-sample",),
        agents=(9,),
        edges=(0.3,),
        support=200,
        query=200,
        compile=False,
        steps=60,
        tuning_steps=40,
        record=20,
        seeds=(0,),
    ),
}
"""``quick`` is what a page runs, on the sample that comes with the package."""


def jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs of the three figures, and the one with the printed steps."""
    seeds = settings.seeds if seeds is None else tuple(seeds)
    first, *others = settings.edges
    made = [
        job(settings, dataset, agents, first, method, TUNED[dataset][method], seed)
        for seed in seeds
        for dataset, agents in itertools.product(settings.datasets, settings.agents)
        for method in METHODS
    ]
    made += [
        job(settings, dataset, settings.agents[0], edge, "DIAMOND", TUNED[dataset]["DIAMOND"], seed)
        for seed in seeds
        for dataset in settings.datasets
        for edge in others
    ]
    if settings.literal:
        cell = (settings.datasets[0], settings.agents[0], first, "DIAMOND", LITERAL["meta"])
        made += [job(settings, *cell, seed) for seed in seeds]
    return made


def tuning_jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs that chose the steps: the grid for every method, on held-out seeds."""
    seeds = HELD_OUT if seeds is None else tuple(seeds)
    settings = replace(settings, steps=settings.tuning_steps)
    cell = settings.agents[0], settings.edges[0]
    return [
        job(settings, dataset, *cell, method, steps, seed)
        for dataset in settings.datasets
        for method, steps, seed in itertools.product(METHODS, GRID, seeds)
    ]


def job(
    settings: Settings,
    dataset: str,
    agents: int,
    edge: float,
    method: str,
    steps: Steps,
    seed: int,
) -> Job:
    """Return one run."""
    told = asdict(settings)
    for key in NOT_TOLD:
        told.pop(key, None)
    told |= {
        "experiment": "meta",
        "dataset": dataset,
        "agents": agents,
        "graph": f"Erdős–Rényi {edge:g}",
        "edge": edge,
        "method": method,
        "c_alpha": steps.alpha,
        "c_beta": steps.beta,
        "seed": seed,
    }
    words = (dataset, agents, f"edge-{edge:g}", method, f"alpha-{steps.alpha:g}")
    return Job(
        name="_".join(map(str, (*words, f"beta-{steps.beta:g}", f"seed-{seed}"))).lower(),
        told=told,
        start=partial(_start, settings, dataset, agents, edge, method, steps, seed),
        steps=settings.steps,
        record=settings.record,
        compile=settings.compile,
    )


def network(agents: int, edge: float, seed: int) -> Network:
    """Return the paper's weights I - 2V / (3 ρ_max(V)) on a connected Erdős–Rényi graph."""
    return Dense(mixing.laplacian(graphs.erdos_renyi(agents, edge, seed)))


@lru_cache(maxsize=1)
def problem(settings: Settings, dataset: str, agents: int, seed: int) -> Problem:
    """Return the tasks of all agents; an agent's two halves follow the same class shares."""
    source = loaded(dataset)
    rng = np.random.default_rng(seed)
    each = settings.support + settings.query
    pool = rng.permutation(len(source.y_train))
    shards = data.split.dirichlet(source.y_train[pool], agents, settings.concentration, seed)
    if shards.shape[1] < each:
        raise ValueError(
            f"{dataset} has {shards.shape[1]} samples for each of {agents} agents, not {each}"
        )
    mine = pool[shards[:, :each]]
    a, c = source.x_train[mine].flatten(2), source.y_train[mine]
    a = (a - a.mean()) / a.std()
    return meta_learning(
        support=(a[:, : settings.support], c[:, : settings.support]),
        query=(a[:, settings.support :], c[:, settings.support :]),
        classes=source.classes,
        hidden=settings.hidden,
        strength=settings.strength,
        batch=settings.batch,
        seed=seed,
        settings={"dataset": dataset, "concentration": settings.concentration},
    )


def _start(
    settings: Settings,
    dataset: str,
    agents: int,
    edge: float,
    method: str,
    steps: Steps,
    seed: int,
) -> Start:
    algorithm: Any = tuning.method(method, steps, settings.K, settings.L)
    return algorithm, problem(settings, dataset, agents, seed), network(agents, edge, seed)
