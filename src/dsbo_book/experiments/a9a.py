"""DIAMOND's Fig. 4: a regularisation weight for every feature of a9a.

Qiu et al. 2023, section VI.2. All 48 842 rows, those of the file a9a and those of a9a.t, are dealt
out at random: 40 % train, 40 % validate, 20 % test. What the paper leaves open is set here, once.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch

from dsbo.problems import Problem
from dsbo_book import data
from dsbo_book.experiments import tuning
from dsbo_book.experiments.jobs import Job, Start
from dsbo_book.experiments.meta import network
from dsbo_book.experiments.tuning import HELD_OUT, LITERAL, METHODS, NOT_TOLD, Steps
from dsbo_book.problems import logistic_regression

GRID = tuning.grid(alphas=(5.0, 25.0, 100.0), betas=(1.0, 2.5))
TUNED = {
    "DIAMOND": Steps(100.0, 2.5),
    "GT-SGD": Steps(100.0, 1.0),
    "M-SGD": Steps(100.0, 2.5),
    "D-SGD": Steps(100.0, 1.0),
}
"""What the tuner chose, by method; the chapter compares it with the record."""


@dataclass(frozen=True)
class Settings:
    """What shapes the numbers of the experiment.

    Parameters
    ----------
    agents : int
        Number of agents.
    methods : tuple of str
        Of `METHODS`.
    edges : tuple of float
        Edge probabilities; all methods run at the first, the paper's two at all.
    shares : tuple of float
        Shares of the rows that train and that validate; the rest tests.
    batch : int
        See `logistic_regression`.
    K, L
        Terms of the Neumann series and bound on the lower Hessians. Half the squared length of a
        row of a9a, 7, bounds the loss's in any case; the bound
        that a batch of 50 gives was at most 3.6 in 300 of them.
    literal : bool
        Also run the paper's two methods with the steps that it prints.
    compile : bool
        Compile the derivatives.
    steps, tuning_steps, record, seeds
        Iterations, those of a tuning run, rows, and the seeds that are reported.
    """

    agents: int = 5
    methods: tuple[str, ...] = tuple(METHODS)
    edges: tuple[float, ...] = (0.3, 0.5, 0.8)
    shares: tuple[float, float] = (0.4, 0.4)
    batch: int = 50
    K: int = 10
    L: float = 4.0
    literal: bool = True
    compile: bool = True
    steps: int = 1000
    tuning_steps: int = 400
    record: int = 50
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


SCALES = {
    "paper": Settings(),
    "long": Settings(methods=("DIAMOND",), edges=(0.3,), literal=False, steps=3000, record=250),
    "quick": Settings(
        edges=(0.3,),
        literal=False,
        compile=False,
        steps=200,
        tuning_steps=50,
        record=50,
        seeds=(0,),
    ),
}
"""``quick`` is what a page runs, and ``long`` asks how good DIAMOND gets with three times the
iterations."""
PAIR = ("DIAMOND", "D-SGD")
"""The methods that the figure compares."""


def jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs of the figure, and those with the printed steps."""
    seeds = settings.seeds if seeds is None else tuple(seeds)
    first, *others = settings.edges
    cells = [(first, name, TUNED[name]) for name in settings.methods]
    cells += [(edge, name, TUNED[name]) for edge in others for name in PAIR]
    if settings.literal:
        cells += [(first, name, LITERAL["a9a"]) for name in PAIR]
    once = dict.fromkeys(cells)  # the tuner may have chosen what is printed
    return [
        job(settings, edge, name, steps, seed)
        for (edge, name, steps), seed in itertools.product(once, seeds)
    ]


def tuning_jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs that chose the steps: the grid for every method, on held-out seeds."""
    seeds = HELD_OUT if seeds is None else tuple(seeds)
    settings = replace(settings, steps=settings.tuning_steps)
    return [
        job(settings, settings.edges[0], method, steps, seed)
        for method, steps, seed in itertools.product(METHODS, GRID, seeds)
    ]


def job(settings: Settings, edge: float, method: str, steps: Steps, seed: int) -> Job:
    """Return one run."""
    told = asdict(settings)
    for key in NOT_TOLD:
        told.pop(key, None)
    told |= {
        "experiment": "a9a",
        "dataset": "a9a",
        "graph": f"Erdős–Rényi {edge:g}",
        "edge": edge,
        "method": method,
        "c_alpha": steps.alpha,
        "c_beta": steps.beta,
        "seed": seed,
    }
    words = (f"edge-{edge:g}", method, f"alpha-{steps.alpha:g}", f"beta-{steps.beta:g}")
    return Job(
        name="_".join((*words, f"seed-{seed}")).lower(),
        told=told,
        start=partial(_start, settings, edge, method, steps, seed),
        steps=settings.steps,
        record=settings.record,
        compile=settings.compile,
    )


@lru_cache(maxsize=1)
def problem(settings: Settings, seed: int) -> Problem:
    """Return the problem; every agent gets the same share of the rows, at random."""
    a, c = rows()
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(c)))
    sizes = [int(share * len(c)) // settings.agents for share in settings.shares]
    taken = [size * settings.agents for size in sizes]
    train, validation, test = torch.split(order, [*taken, len(c) - sum(taken)])
    train, validation = (part.reshape(settings.agents, -1) for part in (train, validation))
    return logistic_regression(
        train=(a[train], c[train]),
        validation=(a[validation], c[validation]),
        test=(a[test], c[test]),
        classes=2,
        batch=settings.batch,
        settings={"dataset": "a9a", "seed": seed},
    )


@lru_cache(maxsize=1)
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Return all features ``[m, k]`` and labels ``[m]`` of both files."""
    source = data.a9a()
    return torch.cat([source.x_train, source.x_test]), torch.cat([source.y_train, source.y_test])


def _start(settings: Settings, edge: float, method: str, steps: Steps, seed: int) -> Start:
    algorithm: Any = tuning.method(method, steps, settings.K, settings.L)
    return algorithm, problem(settings, seed), network(settings.agents, edge, seed)
