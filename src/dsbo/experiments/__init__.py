"""The experiments of the papers, one file a figure; their settings are data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dsbo.experiments import cleaning
from dsbo.experiments.jobs import Job

__all__ = ["EXPERIMENTS", "Experiment", "cleaning"]


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
}
