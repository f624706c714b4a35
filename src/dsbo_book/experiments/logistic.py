"""D-SOBA Experiment 1: twenty agents tune a logistic regression's regulariser.

Kong et al. 2025. The slides give the losses, the number of agents, two heterogeneities and the two
methods that D-SOBA is compared with. The rest is set here, once: made-up data whose heterogeneity
is a number, and two real data sets dealt out unevenly, so that no conclusion hangs on a generator.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsbo import graphs, mixing
from dsbo.algorithms import DSOBA, MADSBO, MDBO, Algorithm
from dsbo.network import Dense, Network
from dsbo.problems import Problem
from dsbo_book import data
from dsbo_book.data import synthetic
from dsbo_book.experiments import tuning
from dsbo_book.experiments.jobs import Job, Start
from dsbo_book.experiments.tuning import HELD_OUT, Steps
from dsbo_book.problems import logistic_regression

LEVELS = {
    "synthetic": {"mild": 0.5, "severe": 2.0},
    "fashion_mnist": {"mild": 1.0, "severe": 0.1},
    "a9a": {"mild": 1.0, "severe": 0.1},
}
"""What a heterogeneity is, by data set: how much the agents' rules differ from the common one, or
the concentration of the Dirichlet distribution of their class shares."""
LOOPS = 5
"""Steps of MA-DSBO's two inner loops."""
GAMMA = 1 / 3
"""MA-DSBO's gamma by its beta. A loop with tracking bears steps up to (1 + λ)²/(2L), one without up
to (1 + λ)/L, with λ the least eigenvalue of the weights; on this ring, λ = -1/3, a third."""
TERMS = 10
"""Terms of MDBO's Neumann series."""
METHODS: dict[str, Callable[[Any, Any, Any, float], Algorithm]] = {
    "D-SOBA": lambda a, b, theta, _: DSOBA(a, b, b, theta),
    "MA-DSBO": lambda a, b, theta, _: MADSBO(a, b, b * GAMMA, theta, T_y=LOOPS, T_z=LOOPS),
    "MDBO": lambda a, b, theta, L: MDBO(a, b, theta, theta, K=TERMS, L=L),
}
BOUNDS = {"synthetic": 2.0, "fashion_mnist": 1.0, "a9a": 6.0}
"""The L of the Neumann series, by data set: above every Hessian of 20 batches of 20 at y = 0, where
the shares are even and the loss is most curved."""
BETAS = {
    "synthetic": (0.1, 0.3, 1.0),
    "fashion_mnist": (0.3, 1.0, 3.0),
    "a9a": (0.03, 0.1, 0.3),
}
GRIDS = {name: tuning.grid(alphas=(3.0, 10.0), betas=betas) for name, betas in BETAS.items()}
"""The candidates, the same for every method."""
FIRST_ORDER = "D-SOBA-FO"
"""D-SOBA with one-sided differences at its default δ and the steps of D-SOBA."""


TUNED: dict[tuple[str, str], dict[str, Steps]] = {
    ("synthetic", "mild"): {
        "D-SOBA": Steps(10.0, 0.3),
        "MA-DSBO": Steps(10.0, 1.0),
        "MDBO": Steps(10.0, 0.3),
    },
    ("synthetic", "severe"): {
        "D-SOBA": Steps(10.0, 0.3),
        "MA-DSBO": Steps(10.0, 0.3),
        "MDBO": Steps(10.0, 0.1),
    },
    ("fashion_mnist", "mild"): {
        "D-SOBA": Steps(10.0, 3.0),
        "MA-DSBO": Steps(10.0, 1.0),
        "MDBO": Steps(10.0, 3.0),
    },
    ("fashion_mnist", "severe"): {
        "D-SOBA": Steps(10.0, 1.0),
        "MA-DSBO": Steps(10.0, 0.3),
        "MDBO": Steps(10.0, 1.0),
    },
    ("a9a", "mild"): {
        "D-SOBA": Steps(10.0, 0.03),
        "MA-DSBO": Steps(10.0, 0.03),
        "MDBO": Steps(3.0, 0.3),
    },
    ("a9a", "severe"): {
        "D-SOBA": Steps(10.0, 0.03),
        "MA-DSBO": Steps(10.0, 0.03),
        "MDBO": Steps(10.0, 0.3),
    },
}
"""What the tuner chose, by data set and heterogeneity; the chapter compares it with the record."""


@dataclass(frozen=True)
class Settings:
    """What shapes the numbers of the experiment.

    Parameters
    ----------
    datasets : tuple of str
        Of those in `LEVELS`.
    agents : int
        Number of agents, on a ring with weights 1/3.
    train, validation, test : int
        An agent's samples of the first two kinds; made-up test samples of all agents together.
    features, useful, classes : int
        Of the made-up data; see `synthetic.classification`. Fashion-MNIST is reduced to as many
        principal components.
    batch : int
        Samples that an agent draws of each kind in an iteration; None takes all.
    upper_ridge : float
        The R of `logistic_regression`. The slides have none, and then x_r of a feature that is
        noise grows without end and makes the lower level steeper than any constant beta bears.
    theta : float
        Weight of the newest direction in every moving average and momentum.
    compile : bool
        Compile the derivatives.
    steps, tuning_steps, record, seeds
        Iterations, those of a tuning run, rows, and the seeds that are reported.
    """

    datasets: tuple[str, ...] = ("synthetic", "fashion_mnist", "a9a")
    agents: int = 20
    train: int = 50
    validation: int = 50
    test: int = 10_000
    features: int = 60
    useful: int = 30
    classes: int = 3
    batch: int | None = 20
    upper_ridge: float = 1e-3
    theta: float = 0.2
    compile: bool = True
    steps: int = 1000
    tuning_steps: int = 1000
    record: int = 25
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


SCALES = {
    "paper": Settings(),
    "quick": Settings(
        datasets=("synthetic",),
        compile=False,
        steps=100,
        tuning_steps=100,
        record=20,
        seeds=(0,),
    ),
}
"""``quick`` is what a page runs."""


def jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs: every method on every data set at both heterogeneities."""
    seeds = settings.seeds if seeds is None else tuple(seeds)
    return [
        job(settings, dataset, level, method, tuned(dataset, level, method), seed)
        for dataset in settings.datasets
        for level in LEVELS[dataset]
        for method in (*METHODS, FIRST_ORDER)
        for seed in seeds
    ]


def tuned(dataset: str, level: str, method: str) -> Steps:
    """Return the steps that the tuner chose; the first-order variant takes those of D-SOBA."""
    return TUNED[dataset, level]["D-SOBA" if method == FIRST_ORDER else method]


def tuning_jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs that chose the steps: the grid for every method, on held-out seeds."""
    seeds = HELD_OUT if seeds is None else tuple(seeds)
    settings = replace(settings, steps=settings.tuning_steps, record=settings.tuning_steps // 8)
    return [
        job(settings, dataset, level, method, steps, seed)
        for dataset in settings.datasets
        for level in LEVELS[dataset]
        for method, steps, seed in itertools.product(METHODS, GRIDS[dataset], seeds)
    ]


def job(
    settings: Settings,
    dataset: str,
    level: str,
    method: str,
    steps: Steps,
    seed: int,
    tag: str = "",
) -> Job:
    """Return one run; ``tag`` goes into its name where other settings than usual need one."""
    told = asdict(settings)
    for key in tuning.NOT_TOLD:
        told.pop(key, None)
    told |= {
        "experiment": "logistic",
        "dataset": dataset,
        "heterogeneity": level,
        "knob": LEVELS[dataset][level],
        "graph": "ring",
        "method": method,
        "c_alpha": steps.alpha,
        "c_beta": steps.beta,
        "loops": LOOPS,
        "terms": TERMS,
        "L": BOUNDS[dataset],
        "seed": seed,
    }
    if method == "MA-DSBO":
        told["gamma_by_beta"] = GAMMA
    words = [dataset, level, method, f"alpha-{steps.alpha:g}", f"beta-{steps.beta:g}"]
    words += [tag] if tag else []
    return Job(
        name="_".join((*words, f"seed-{seed}")).lower(),
        told=told,
        start=partial(_start, settings, dataset, level, method, steps, seed),
        steps=settings.steps,
        record=settings.record,
        compile=settings.compile,
    )


def network(agents: int) -> Network:
    """Return a ring on which an agent and its two neighbours count alike."""
    return Dense(mixing.uniform(graphs.ring(agents)))


@lru_cache(maxsize=1)
def problem(settings: Settings, dataset: str, level: str, seed: int) -> Problem:
    """Return the problem of a data set at a heterogeneity."""
    knob = LEVELS[dataset][level]
    made = _made if dataset == "synthetic" else _dealt
    (a, c), test, classes = made(settings, dataset, knob, seed)
    a, test = a.float(), (test[0].float(), test[1])
    m = settings.train
    return logistic_regression(
        train=(a[:, :m], c[:, :m]),
        validation=(a[:, m:], c[:, m:]),
        test=test,
        classes=classes,
        batch=settings.batch,
        upper_ridge=settings.upper_ridge,
        settings={"dataset": dataset, "heterogeneity": knob, "seed": seed},
    )


Samples = tuple[Tensor, Tensor]


def _made(s: Settings, _: str, knob: float, seed: int) -> tuple[Samples, Samples, int]:
    each = s.train + s.validation
    a, c = synthetic.classification(
        s.agents, each + s.test // s.agents, s.features, s.useful, s.classes, knob, seed=seed
    )
    test = a[:, each:].flatten(0, 1), c[:, each:].flatten()
    return (a[:, :each], c[:, :each]), test, s.classes


def _dealt(s: Settings, dataset: str, knob: float, seed: int) -> tuple[Samples, Samples, int]:
    a, c, test, classes = _source(dataset, s.features)
    pool = np.random.default_rng(seed).permutation(len(c))
    shards = data.split.dirichlet(c[pool], s.agents, knob, seed)
    mine = pool[shards[:, : s.train + s.validation]]
    return (a[mine], c[mine]), test, classes


@lru_cache(maxsize=1)
def _source(dataset: str, features: int) -> tuple[Tensor, Tensor, Samples, int]:
    """Return the features, labels, test samples and number of classes of a real data set."""
    source = data.load(dataset)
    a, test = source.x_train.flatten(1), source.x_test.flatten(1)
    if dataset == "fashion_mnist":
        a, test = _components(a, test, features)
    return a, source.y_train, (test, source.y_test), source.classes


def _components(a: Tensor, test: Tensor, features: int) -> tuple[Tensor, Tensor]:
    """Return principal components in units of the first one's spread, and a constant one."""
    from sklearn.decomposition import PCA  # slower to import than dsbo itself

    pca = PCA(features - 1, svd_solver="covariance_eigh").fit(a.double().numpy())
    unit = float(np.sqrt(pca.explained_variance_[0]))

    def rows(part: Tensor) -> Tensor:
        found = torch.from_numpy(pca.transform(part.double().numpy())) / unit
        return torch.cat([found, torch.ones(len(found), 1, dtype=found.dtype)], dim=1)

    return rows(a), rows(test)


def _start(
    settings: Settings, dataset: str, level: str, method: str, steps: Steps, seed: int
) -> Start:
    task = problem(settings, dataset, level, seed)
    if method == FIRST_ORDER:
        method, task = "D-SOBA", task.first_order()
    algorithm = METHODS[method](steps.alpha, steps.beta, settings.theta, BOUNDS[dataset])
    return algorithm, task, network(settings.agents)
