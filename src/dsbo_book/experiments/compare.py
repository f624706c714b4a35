"""Compare one method with others, seed by seed, at equal iterations, oracle calls or messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from dsbo.trace import Trace


def late(trace: Trace, column: str, x: str, budget: float) -> float:
    """Return the mean of a column where ``x`` lies in the last quarter of ``budget``."""
    spent = trace[x]
    rows = (spent > 0.75 * budget) & (spent <= budget)
    return float(trace[column][rows].mean())


def paired(
    traces: Sequence[Trace], column: str, x: str = "step", ours: str = "DIAMOND", sign: int = 1
) -> pd.DataFrame:
    """Return a row for every other method: how much ours is ahead, and a paired test over seeds.

    All are compared at the largest budget of ``x`` that every trace reaches, by the mean of the
    column over the last quarter of that budget.

    Parameters
    ----------
    traces : sequence of Trace
        Of several methods on the same seeds and otherwise equal settings.
    column : str
        Positive numbers, small ones good.
    x : str
        What the budget is of: ``step``, ``oracle_calls`` or ``floats``.
    ours : str
        Method that is compared with each of the others.
    sign : int
        -1 if large numbers are good.

    Returns
    -------
    DataFrame
        Columns ``ours`` and ``other`` (means over seeds), ``ratio`` (geometric mean of ours by
        other), ``seeds`` (on how many ours is ahead) and ``p`` (one-sided paired t-test of the
        logarithms, ours ahead).

    Raises
    ------
    ValueError
        If methods were run on different seeds.
    """
    budget = min(float(trace[x][-1]) for trace in traces)
    values: dict[str, dict[int, float]] = {}
    for trace in traces:
        cell = trace.provenance["cell"]
        values.setdefault(cell["method"], {})[cell["seed"]] = late(trace, column, x, budget)
    seeds = sorted(values[ours])
    if any(sorted(own) != seeds for own in values.values()):
        raise ValueError(f"methods were run on different seeds; all need {seeds}")
    rows = {}
    for name in values:
        if name != ours:
            a, b = _array(values[ours], seeds), _array(values[name], seeds)
            ahead = sign * (np.log(b) - np.log(a))
            rows[name] = {
                "ours": a.mean(),
                "other": b.mean(),
                "ratio": float(np.exp(np.mean(np.log(a / b)))),
                "seeds": int((ahead > 0).sum()),
                "p": float(stats.ttest_1samp(ahead, 0, alternative="greater").pvalue),
            }
    return pd.DataFrame(rows).T.rename_axis(f"{ours} against")


def _array(own: dict[int, float], seeds: list[int]) -> NDArray[np.float64]:
    return np.array([own[seed] for seed in seeds])
