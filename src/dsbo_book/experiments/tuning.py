"""One budget, one set of candidates and of held-out seeds for every method of an experiment.

A tuning study is the study itself, at other values of `STEPS` and at other seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from dsbo.trace import Trace
from dsbo.tune import HELD_OUT, score
from dsbo_book.experiments.study import Cell, cross, grid

REPORTED = (0, 1, 2, 3, 4)
"""Seeds of the records."""
STEPS = ("alpha", "beta", "eta")
"""What is tuned: keys of a cell, the scales of the steps of x and of y, and of the momenta where a
method has them and they are not fixed."""


def trials(cells: Iterable[Cell], candidates: Callable[[Cell], Iterable[Cell]]) -> list[Cell]:
    """Return every cell with each of its candidates, on held-out seeds."""
    each = [cell | candidate for cell in cells for candidate in candidates(cell)]
    return cross(each, grid(seed=HELD_OUT))


def table(traces: Sequence[Trace], column: str) -> pd.DataFrame:
    """Return the mean score of every candidate, a row for each, a column for each method in turn.

    The traces' cells say which method, which steps and which seed they are of. A method that has no
    such candidate has NaN there.
    """
    frame = pd.DataFrame([trace.provenance["cell"] for trace in traces])
    frame["score"] = [score(trace, column) for trace in traces]
    keys = [*filter(frame.columns.__contains__, STEPS), "method"]
    wide = frame.groupby(keys, dropna=False)["score"].mean().unstack("method")
    return wide[list(dict.fromkeys(frame["method"]))]


def chosen(scores: pd.DataFrame) -> dict[str, Cell]:
    """Return each method's candidate with the smallest mean score."""
    keys = [str(name) for name in scores.index.names]
    best: dict[str, Any] = {name: scores[name].idxmin() for name in scores.columns}
    told = {name: dict(zip(keys, map(float, values), strict=True)) for name, values in best.items()}
    return {name: {k: v for k, v in own.items() if v == v} for name, own in told.items()}
