"""The experiments of the papers, one file a figure; their settings are data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dsbo.experiments import (
    a9a,
    ablations,
    cleaning,
    complexity,
    logistic,
    meta,
    nonlinear,
    sparkle,
    tuning,
)
from dsbo.experiments.jobs import Job

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "a9a",
    "ablations",
    "cleaning",
    "complexity",
    "logistic",
    "meta",
    "nonlinear",
    "sparkle",
    "tuning",
]


class Experiment(NamedTuple):
    """What the command line can run.

    Parameters
    ----------
    title : str
        One line.
    scales : mapping
        Settings by scale; ``quick`` and ``paper`` among them.
    jobs : callable
        (settings, seeds or None) -> list of Job.
    """

    title: str
    scales: Mapping[str, Any]
    jobs: Callable[[Any, Any], list[Job]]


EXPERIMENTS = {
    "cleaning": Experiment(cleaning.TITLE, cleaning.SCALES, cleaning.jobs),
    "cleaning-tuning": Experiment(
        "The runs that chose the steps of cleaning, on held-out seeds",
        {name: cleaning.SCALES[name] for name in ("quick", "small", "paper")},
        cleaning.tuning_jobs,
    ),
    "logistic": Experiment(logistic.TITLE, logistic.SCALES, logistic.jobs),
    "logistic-tuning": Experiment(
        "The runs that chose the steps of logistic, on held-out seeds",
        logistic.SCALES,
        logistic.tuning_jobs,
    ),
    "logistic-theta": Experiment(
        "D-SOBA with other weights of the moving average",
        ablations.THETA_SCALES,
        ablations.theta_jobs,
    ),
    "logistic-size": Experiment(
        "What the two variants of D-SOBA cost as d and p grow",
        ablations.SIZE_SCALES,
        ablations.size_jobs,
    ),
    "nonlinear": Experiment(nonlinear.TITLE, nonlinear.SCALES, nonlinear.jobs),
    "sparkle": Experiment(sparkle.TITLE, sparkle.SCALES, sparkle.jobs),
    "sparkle-tuning": Experiment(
        "The runs that chose the steps of sparkle, on held-out seeds",
        {name: sparkle.SCALES[name] for name in ("quick", "paper")},
        sparkle.tuning_jobs,
    ),
    "complexity": Experiment(complexity.TITLE, complexity.SCALES, complexity.jobs),
    "complexity-tuning": Experiment(
        "The runs that chose the steps of complexity, on held-out seeds",
        complexity.SCALES,
        complexity.tuning_jobs,
    ),
    "meta": Experiment(meta.TITLE, meta.SCALES, meta.jobs),
    "meta-tuning": Experiment(
        "The runs that chose the steps of meta, on held-out seeds", meta.SCALES, meta.tuning_jobs
    ),
    "a9a": Experiment(a9a.TITLE, a9a.SCALES, a9a.jobs),
    "a9a-tuning": Experiment(
        "The runs that chose the steps of a9a, on held-out seeds", a9a.SCALES, a9a.tuning_jobs
    ),
}
