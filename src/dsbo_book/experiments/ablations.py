"""What θ does in D-SOBA, and what first order costs as d and p grow."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from dsbo_book.experiments import logistic
from dsbo_book.experiments.jobs import Job
from dsbo_book.experiments.logistic import FIRST_ORDER, TUNED, Settings
from dsbo_book.experiments.tuning import Steps

CELL = ("synthetic", "severe")
"""Data set and heterogeneity of both."""
THETAS = (0.05, 0.1, 0.2, 0.5, 1.0)
SIZES = (30, 100, 300, 600)
"""Numbers of features k; d = k and p = 3k."""
SLOW = Steps(1.0, 0.1)
"""Steps that suit every size; only cost is compared."""
THETA_SCALES = {
    "paper": Settings(),
    "quick": replace(logistic.SCALES["quick"], steps=60),
}
SIZE_SCALES = {
    "paper": Settings(compile=False, steps=200, record=200),
    "quick": Settings(compile=False, steps=20, record=20, seeds=(0,)),
}
"""Not compiled, so that compiling does not count."""


def theta_jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return runs of D-SOBA with the tuned steps and every θ."""
    seeds = settings.seeds if seeds is None else tuple(seeds)
    return [
        logistic.job(
            replace(settings, theta=theta),
            *CELL,
            "D-SOBA",
            TUNED[CELL]["D-SOBA"],
            seed,
            tag=f"theta-{theta:g}",
        )
        for theta, seed in itertools.product(THETAS, seeds)
    ]


def size_jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return runs of both variants of D-SOBA at every size, in turn."""
    seeds = settings.seeds if seeds is None else tuple(seeds)
    return [
        logistic.job(
            replace(settings, features=k, useful=k // 2),
            *CELL,
            method,
            SLOW,
            seed,
            tag=f"features-{k}",
        )
        for k, seed, method in itertools.product(SIZES, seeds, ("D-SOBA", FIRST_ORDER))
    ]
