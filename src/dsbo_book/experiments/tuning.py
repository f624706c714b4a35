"""One grid, one budget and one set of held-out seeds for every method of an experiment.

A candidate is a pair of constants for the rules of Qiu et al. 2023, Theorem 1,

    alpha_t = c_α (2 + t)^(-1/3)        beta_t = c_β α_t .

The momenta of DIAMOND and M-SGD keep the paper's printed weights, 0.1 (10 (2 + t)^(-1/3))², cut at
1, whatever c_α is: they belong to the noise, not to the scale of the losses.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dsbo.algorithms import DIAMOND, DSGD, GTSGD, MSGD
from dsbo.trace import Trace

HELD_OUT = (100, 101)
"""Seeds for tuning, never reported."""
METHODS: dict[str, type[DIAMOND]] = {
    "DIAMOND": DIAMOND,
    "GT-SGD": GTSGD,
    "M-SGD": MSGD,
    "D-SGD": DSGD,
}


class Steps(NamedTuple):
    """The scales of the two steps: ``alpha`` is c_α, ``beta`` is c_α c_β."""

    alpha: float
    beta: float


LITERAL = {"meta": Steps(10.0, 100.0), "a9a": Steps(5.0, 7.5)}
"""The constants that the paper prints."""
NOT_TOLD = (
    "datasets", "methods", "edges", "seeds", "steps", "tuning_steps", "record", "literal",
    "compile",
)  # fmt: skip
"""Settings of an experiment that do not belong to one run, or do not shape its numbers."""
MEMORY = 10.0
"""c_η c_α² = c_γ c_α² of the meta-learning experiment as printed, 0.1 · 10²."""


def grid(alphas: Sequence[float], betas: Sequence[float]) -> tuple[Steps, ...]:
    """Return every pair of the scales."""
    return tuple(Steps(*pair) for pair in itertools.product(alphas, betas))


def method(name: str, steps: Steps, K: int, L: float) -> DIAMOND:
    """Return one of the four methods with the paper's rules at the given scales."""
    weight = MEMORY / steps.alpha**2
    return METHODS[name].published(steps.alpha, steps.beta / steps.alpha, weight, weight, K=K, L=L)


def score(trace: Trace, column: str) -> float:
    """Return the mean of a column over the last quarter of the rows; infinite if it diverged.

    A column that is NaN there counts as diverged, too.
    """
    if "diverged" in trace.provenance:
        return math.inf
    values = np.asarray(trace.frame[column], dtype=float)
    mean = float(values[-max(1, len(values) // 4) :].mean())
    return math.inf if math.isnan(mean) else mean


def table(traces: Sequence[Trace], column: str) -> pd.DataFrame:
    """Return the mean score of every candidate, a row for each, a column for each method in turn.

    The traces' provenance says which method, which scales and which seed they are of.
    """
    told = [trace.provenance["experiment"] for trace in traces]
    frame = pd.DataFrame(
        {
            "method": [t["method"] for t in told],
            "c_alpha": [t["c_alpha"] for t in told],
            "c_alpha c_beta": [t["c_beta"] for t in told],
            "score": [score(trace, column) for trace in traces],
        }
    )
    means = frame.groupby(["c_alpha", "c_alpha c_beta", "method"])["score"].mean()
    wide = means.unstack("method")
    return wide[list(dict.fromkeys(frame["method"]))]


def chosen(scores: pd.DataFrame) -> Mapping[str, Steps]:
    """Return each method's candidate with the smallest mean score."""
    best: dict[str, Any] = {name: scores[name].idxmin() for name in scores.columns}
    return {name: Steps(*map(float, pair)) for name, pair in best.items()}
