"""SPARKLE against D-SOBA: cleaning Fashion-MNIST over a sparse graph, and a graph for each level.

Zhu et al. 2024 announce the comparison; the slides of Kong et al. 2025 end with what it asks. The
task is that of `cleaning`: strongly skewed classes, an adjusted ring whose agents keep most of
their own. Ten agents, every one of the 60 000 labelled samples in use.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from dsbo.algorithms import DSOBA, SPARKLE, Algorithm
from dsbo.network import PerLevel
from dsbo.schedules import Power
from dsbo_book.experiments import cleaning
from dsbo_book.experiments.jobs import Job, Start
from dsbo_book.experiments.tuning import HELD_OUT, Steps

METHODS: dict[str, Callable[..., Algorithm]] = {
    "D-SOBA": DSOBA,
    "SPARKLE-ED": SPARKLE,
    "SPARKLE-GT": partial(SPARKLE, upper="ATC-GT", lower="ATC-GT", auxiliary="ATC-GT"),
}
SPARSE, DENSE = "adjusted ring", "complete"
PLACES = {"everywhere": (SPARSE, SPARSE), "x": (SPARSE, DENSE), "y, z": (DENSE, SPARSE)}
PLACES["nowhere"] = (DENSE, DENSE)
"""By where the sparse graph is: the graph of x, and that of y and z."""
GRID = (Steps(2000.0, 0.6), Steps(2000.0, 0.3), Steps(5000.0, 0.6))
"""The candidates, the same for every method, on the sparse graph at the first rate."""
TUNED = {
    "D-SOBA": Steps(5000.0, 0.6),
    "SPARKLE-ED": Steps(2000.0, 0.3),
    "SPARKLE-GT": Steps(2000.0, 0.6),
}
"""What the tuner chose; the chapter compares it with the record."""


@dataclass(frozen=True)
class Settings:
    """What shapes the numbers of the experiment.

    Parameters
    ----------
    task : cleaning.Settings
        The data, the network and what falls; its steps alpha and beta are not used.
    rates : tuple of float
        Shares of training labels that are corrupted; tuning and `PLACES` are at the first.
    steps, record, seeds
        Iterations, rows, and the seeds that are reported.
    """

    task: cleaning.Settings
    rates: tuple[float, ...] = (0.2, 0.1, 0.3)
    steps: int = 1000
    record: int = 50
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


SCALES = {
    "paper": Settings(cleaning.SCALES["paper"]),
    "quick": Settings(
        replace(cleaning.SCALES["quick"], hidden=50),
        rates=(0.2,),
        steps=100,
        record=20,
        seeds=(0,),
    ),
}
"""``quick`` is what a page runs."""
NOT_TOLD = ("rates", "graphs", "seeds", "steps", "record", "alpha", *cleaning.BETA.values())
"""Settings of the task that do not belong to one run here."""


def jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs: every method at every rate, then SPARKLE-ED with the sparse graph moved."""
    seeds = settings.seeds if seeds is None else tuple(seeds)
    cells = [(method, "everywhere", rate) for rate in settings.rates for method in METHODS]
    cells += [("SPARKLE-ED", place, settings.rates[0]) for place in PLACES if place != "everywhere"]
    return [
        job(settings, method, place, rate, tuned(method, settings.task), seed)
        for (method, place, rate), seed in itertools.product(cells, seeds)
    ]


def tuned(method: str, task: cleaning.Settings) -> Steps:
    """Return the steps that the tuner chose, alpha in proportion to the training samples."""
    alpha, beta = TUNED[method]
    return Steps(alpha * task.train / cleaning.SCALES["paper"].train, beta)


def tuning_jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs that chose the steps: the grid for every method, on held-out seeds."""
    seeds = HELD_OUT if seeds is None else tuple(seeds)
    return [
        job(settings, method, "everywhere", settings.rates[0], steps, seed)
        for method, steps, seed in itertools.product(METHODS, GRID, seeds)
    ]


def job(settings: Settings, method: str, place: str, rate: float, steps: Steps, seed: int) -> Job:
    """Return one run of a method with the sparse graph at a place."""
    told = {key: value for key, value in asdict(settings.task).items() if key not in NOT_TOLD}
    told |= {
        "experiment": "sparkle",
        "method": method,
        "sparse": place,
        "rate": rate,
        "c_alpha": steps.alpha,
        "c_beta": steps.beta,
        "seed": seed,
    }
    sizes = (f"alpha {steps.alpha:g}", f"beta {steps.beta:g}")
    words = (method, f"sparse {place}", f"rate {rate}", *sizes, f"seed {seed}")
    return Job(
        name="_".join(word.replace(", ", "").replace(" ", "-").lower() for word in words),
        told=told,
        start=partial(_start, settings.task, method, place, rate, steps, seed),
        steps=settings.steps,
        record=settings.record,
    )


def _start(
    task: cleaning.Settings, method: str, place: str, rate: float, steps: Steps, seed: int
) -> Start:
    beta = Power(steps.beta * task.decay**0.5, task.decay, 0.5)
    algorithm = METHODS[method](steps.alpha, beta, task.gamma, task.theta)
    x, yz = (cleaning.network(graph, task) for graph in PLACES[place])
    network = x if PLACES[place][0] == PLACES[place][1] else PerLevel(x=x, y=yz, z=yz)
    return algorithm, cleaning.problem(task, rate, seed), network
