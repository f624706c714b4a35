"""Compare what `suggest` gives with the steps that were tuned by hand, for all that pages run.

    nox -s suggested              all experiments at quick scale, a quarter of an hour
    nox -s suggested -- meta      those; the others keep what is stored

Each method on each problem of an experiment, with the data of its first cell, runs as long as the
page runs it, with either steps. The rows go to ``book/records/suggested.json``, which the page
`steps` shows. The loss is Φ(x̄), where the problem knows y*(x), else the upper loss.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from pages import ROOT
from tqdm import tqdm
from vacuous import commit, write

from dsbo import Diverged, run, suggest
from dsbo.algorithms import Algorithm
from dsbo.problems import Problem
from dsbo.tune import score
from dsbo_book.experiments import EXPERIMENTS
from dsbo_book.experiments.study import Cell, Start

SEEDS, SMALL = 5, 200
"""How many seeds, where y has at most so many numbers; one elsewhere."""
STORED = ROOT / "book/records/suggested.json"


TOLD = ("problem", "dataset", "heterogeneity")


def main() -> int:
    """Store a row for each method and problem; exit with 1 if a suggestion diverges."""
    return int(any(row["gap"] is None for row in made(STORED, cases, compared, __doc__)))


def made(
    path: Path,
    cases: Callable[[str], Iterator[tuple[Cell, Start]]],
    compared: Callable[[Cell, Start], dict[str, Any]],
    told: str,
) -> list[dict[str, Any]]:
    """Run the experiments that the command line asks for, store a row for each case, return all."""
    words = argparse.ArgumentParser(description=told.splitlines()[0])
    words.add_argument("only", nargs="*", help="names of experiments")
    only = words.parse_args().only
    torch.set_num_threads(1)
    known = json.loads(path.read_text("utf-8"))["rows"] if path.exists() else []
    names = [name for name in EXPERIMENTS if "tuning" not in name and name not in NO_NEWS]
    for name in tqdm([n for n in names if not only or n in only], unit="experiment"):
        known = [row for row in known if row["experiment"] != name]
        for cell, start in tqdm(list(cases(name)), desc=name, unit="case"):
            row = {"experiment": name, "method": cell["method"], **compared(cell, start)}
            tqdm.write(str(row))
            known.append(row)
        known.sort(key=lambda row: names.index(row["experiment"]))
        write(path, {"commit": commit(), "seeds": SEEDS, "rows": known})
    return known


NO_NEWS = ("logistic-theta", "logistic-size")
"""These run D-SOBA on the problems of logistic, with other settings."""


def cases(name: str) -> Iterator[tuple[Cell, Start]]:
    """Yield a cell for each method and problem of an experiment, with steps tuned by hand."""
    study, seen = EXPERIMENTS[name].study("quick"), set()
    for cell in study.cells:
        start = study.start(cell)
        what = {k: v for k, v in start.arguments.items() if k != "seed"}
        key = cell["method"], start.problem.func.__name__, str(what)
        if key not in seen and not printed(start):
            seen.add(key)
            yield cell, start


def printed(start: Start) -> bool:
    """Say whether these steps are those of a paper, which diverge or were not tuned."""
    return start.algorithm.steps(0)[1:2] > [2.0]


def compared(cell: Cell, start: Start) -> dict[str, Any]:
    """Return the losses at the start, with suggested and with tuned steps, and the share closed."""
    problem, tuned = start.problem(), start.algorithm
    method = type(tuned)
    own = [f.name for f in fields(method) if f.init and f.name not in method.roles]
    began = time.perf_counter()
    found = suggest(
        method, problem, start.network, False, **{name: getattr(tuned, name) for name in own}
    )
    seconds = time.perf_counter() - began
    first, by_hand = reached(tuned, problem, start)
    _, by_rule = reached(found.algorithm, problem, start)
    gap = (first - by_rule) / (first - by_hand) if math.isfinite(by_rule) else None
    alpha = getattr(found.algorithm, "alpha", None)
    return {
        "problem": " ".join(str(cell[key]) for key in TOLD if key in cell),
        "steps": start.steps,
        "start": first,
        "tuned": by_hand,
        "suggested": by_rule if gap is not None else None,
        "gap": gap,
        "alpha": alpha and alpha(0),
        "alpha_tuned": alpha and tuned.alpha(0),
        "seconds": round(seconds, 1),
    }


def reached(
    algorithm: Algorithm, problem: Problem, start: Start, rows: int = 20
) -> tuple[float, float]:
    """Return the losses at the start and over the last quarter of the rows, means of seeds.

    The last is infinite where a run diverged or left x so far off that y*(x) cannot be found.
    """
    shared, found = algorithm.shared_lower, []

    def loss(_: Any, problem: Any, state: Any) -> dict[str, float]:
        x, y = state.x, state.y
        if problem.exact is not None:
            try:
                best, _ = problem.lower_solution(x.mean(0), shared)
            except ValueError:
                return {"loss": math.nan}
            y = best.expand(len(x), -1)
        return {"loss": problem.upper_loss(x, y, shared)}

    for seed in range(SEEDS if problem.p <= SMALL else 1):
        try:
            trace = run(
                algorithm, problem, start.network, start.steps, seed,
                max(1, start.steps // rows), progress=False, measure=loss,
            )  # fmt: skip
        except Diverged:
            return math.nan, math.inf
        found.append((trace.rows[0]["loss"], score(trace, "loss")))
    first, last = map(fmean, zip(*found, strict=True))
    return first, last


if __name__ == "__main__":
    sys.exit(main())
