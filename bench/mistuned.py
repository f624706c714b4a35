"""Run D-SOBA and AdaSDBO-GT with steps up to a hundred times too short and too long.

    nox -s mistuned               all experiments at quick scale
    nox -s mistuned -- domains    those; the others keep what is stored

On each problem of an experiment that runs D-SOBA, with the data and the graph of its first cell,
D-SOBA takes multiples of its α, β and γ, and AdaSDBO-GT the same multiples of 1 as its constant.
The rows go to ``book/records/mistuned.json``, which the page `adaptive` shows. Lengths, seeds and
losses are those of ``nox -s suggested``, but a run is judged by its last row alone.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pages import ROOT
from suggested import TOLD, cases, made, reached

from dsbo import DSOBA, AdaSDBOGT
from dsbo.schedules import Schedule, at
from dsbo_book.experiments.study import Cell, Start

FACTORS = (0.01, 0.1, 1.0, 10.0, 100.0)
STORED = ROOT / "book/records/mistuned.json"


def main() -> int:
    """Store a row for each problem."""
    made(STORED, fitting, compared, __doc__)
    return 0


def fitting(name: str) -> Iterator[tuple[Cell, Start]]:
    """Yield the cells of D-SOBA."""
    return (case for case in cases(name) if case[0]["method"] == "D-SOBA")


def times(factor: float, step: Schedule) -> Schedule:
    """Return a multiple of a step."""
    return lambda t: factor * at(step, t)


def compared(cell: Cell, start: Start) -> dict[str, Any]:
    """Return the loss at the start and at the end, by factor; None where none was found."""
    problem, tuned = start.problem(), start.algorithm
    assert isinstance(tuned, DSOBA)
    steps = {name: getattr(tuned, name) for name in set(tuned.schedules) - set(tuned.shares)}
    losses: dict[str, list[float | None]] = {"D-SOBA": [], "AdaSDBO-GT": []}
    first = math.nan
    for factor in FACTORS:
        longer = replace(tuned, **{name: times(factor, step) for name, step in steps.items()})
        for method in (longer, AdaSDBOGT(factor)):
            begin, end = reached(method, problem, start, rows=4)
            losses[method.title].append(end if math.isfinite(end) else None)
            first = first if math.isnan(begin) else begin
    told = " ".join(str(cell[key]) for key in TOLD if key in cell)
    return {"problem": told, "steps": start.steps, "start": first, "factors": FACTORS, **losses}


if __name__ == "__main__":
    sys.exit(main())
