"""Compare one method with others, seed by seed, at equal iterations, oracle calls or messages."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, suppress

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from dsbo.trace import Trace

SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of the largest budget, each twice the one before."""
LEVEL = 0.05
"""Of the verdicts of a family that are not *level*, so many may be wrong."""


def late(trace: Trace, column: str, x: str, budget: float) -> float:
    """Return the mean of a column where ``x`` lies in the last quarter of ``budget``.

    Raises
    ------
    ValueError
        If nothing was recorded there.
    """
    spent = trace[x]
    rows = (spent > 0.75 * budget) & (spent <= budget)
    if not rows.any():
        raise ValueError(
            f"no row of {x} from {0.75 * budget:g} to {budget:g}; record more often, or compare at "
            "larger budgets"
        )
    return float(trace[column][rows].mean())


def paired(
    traces: Sequence[Trace],
    column: str,
    x: str = "step",
    ours: str = "DIAMOND",
    sign: int = 1,
    share: float = 1.0,
) -> pd.DataFrame:
    """Return a row for every other method: how much ours is ahead, and a paired test over seeds.

    All are compared at a share of the largest budget of ``x`` that every trace reaches, by `late`.

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
    share : float
        Of the largest budget.

    Returns
    -------
    DataFrame
        Columns ``ours`` and ``other`` (means over seeds), ``ratio`` (geometric mean of ours by
        other) and ``low`` to ``high``, which holds it with 95 %, ``n`` (seeds), ``seeds`` (on how
        many ours is ahead) and ``p`` (one-sided paired t-test of the logarithms, ours ahead).

    Raises
    ------
    ValueError
        If methods were run on different seeds, or twice on one; if a run diverged, since what it
        spent is then no budget; or as `late` does.
    """
    told = [trace.provenance for trace in traces]
    if lost := [one["cell"] for one in told if "diverged" in one]:
        raise ValueError(f"the run {lost[0]} diverged; compare as far as all go on")
    budget = share * min(float(trace[x][-1]) for trace in traces)
    values: dict[str, dict[int, float]] = {}
    for trace in traces:
        cell = trace.provenance["cell"]
        own = values.setdefault(cell["method"], {})
        if cell["seed"] in own:
            raise ValueError(f"{cell['method']} was run twice on the seed {cell['seed']}; give one")
        own[cell["seed"]] = late(trace, column, x, budget)
    seeds = sorted(values[ours])
    if any(sorted(own) != seeds for own in values.values()):
        raise ValueError(f"methods were run on different seeds; all need {seeds}")
    rows = {}
    for name in values:
        if name != ours:
            a, b = _array(values[ours], seeds), _array(values[name], seeds)
            ahead = sign * (np.log(b) - np.log(a))
            test = stats.ttest_1samp(ahead, 0, alternative="greater")
            low, high = stats.ttest_1samp(np.log(a / b), 0).confidence_interval()
            rows[name] = {
                "ours": a.mean(),
                "other": b.mean(),
                "ratio": float(np.exp(np.mean(np.log(a / b)))),
                "low": float(np.exp(low)),
                "high": float(np.exp(high)),
                "n": len(seeds),
                "seeds": int((ahead > 0).sum()),
                "p": float(test.pvalue),
            }
    return pd.DataFrame(rows).T.rename_axis(f"{ours} against")


def by_budget(
    traces: Sequence[Trace],
    column: str,
    x: str = "step",
    ours: str = "DIAMOND",
    sign: int = 1,
    shares: Sequence[float] = SHARES,
) -> pd.DataFrame:
    """Return `paired` at some shares of the largest budget, one below another.

    Those at which a method has no row are left out.
    """
    tables = {}
    for share in shares:
        with suppress(ValueError) if share < 1 else nullcontext():
            words = f"1/{round(1 / share)}" if share < 1 else "1"
            tables[words] = paired(traces, column, x, ours, sign, share)
    return pd.concat(tables, names=["budget"])


def verdicts(p: pd.Series[float]) -> pd.Series[str]:
    """Return *ahead*, *behind* or *level* for the one-sided p of a whole family of comparisons.

    Of those that are called ahead or behind one in twenty is expected to be wrong at most, by
    Benjamini and Hochberg's rule for the two-sided tests, were they independent. Methods that do
    the same have no p, and are level.
    """
    one_sided = p.fillna(0.5).to_numpy(float)
    found = stats.false_discovery_control(2 * np.minimum(one_sided, 1 - one_sided)) < LEVEL
    words = np.where(found, np.where(one_sided < 0.5, "ahead", "behind"), "level")
    return pd.Series(words.tolist(), p.index)


def settled(words: pd.DataFrame) -> pd.Series[str]:
    """Return the last column, or *still changing* where it differs from the one before.

    The columns are verdicts at growing budgets, each twice the one before. Where the one before is
    missing, it is *one budget*.
    """
    last, before = words.iloc[:, -1], words.iloc[:, -2]
    return last.where(last == before, "still changing").where(before.notna(), "one budget")


def _array(own: dict[int, float], seeds: list[int]) -> NDArray[np.float64]:
    return np.array([own[seed] for seed in seeds])
