"""One cell of each record, by this code and by that of a commit before, on this machine.

Each code runs in a process of its own, in turn; the data sets must be there (``dsbo data fetch``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import torch
from timing import THREADS, Found, Ratio

ROOT = Path(__file__).parents[1]
BEFORE = "9644cd8"
"""The commit before the package was made fast."""
SHORT, LONG = 10, 110
"""Steps of two runs, from which that of all steps is told; compiling is left out."""


def one_of_each() -> Iterator[tuple[str, float]]:
    """Give the seconds that the steps of a cell take, metrics left out, for one cell of each kind.

    A kind is a figure's method, data set and problem; tunings do what figures do. Cells that
    diverge at once, such as those with the printed steps of meta, are left out.
    """
    from dsbo import Diverged
    from dsbo_book.experiments import EXPERIMENTS

    torch.set_num_threads(THREADS)
    for name, known in EXPERIMENTS.items():
        seen = set()
        for cell in known.study("paper").cells if "tuning" not in name else ():
            kind = cell.get("method"), cell.get("dataset"), cell.get("problem")
            if kind in seen:
                continue
            seen.add(kind)
            with suppress(Diverged):
                told = "/".join(str(part) for part in kind if part)
                yield f"{name} {told}", seconds_of(known.study("paper").start(cell))


def seconds_of(start: Any) -> float:
    """Return the seconds of all steps of a cell, on the line through a shorter and a longer run."""
    from dsbo import run

    problem = start.problem()

    def seconds(steps: int) -> float:
        began = time.perf_counter()
        run(
            start.algorithm, problem, start.network, steps=steps, every=steps,
            compile=start.compile, measure=lambda *_: {},
        )  # fmt: skip
        return time.perf_counter() - began

    seconds(SHORT)
    short, long = (median(seconds(steps) for _ in range(3)) for steps in (SHORT, LONG))
    return short + max(long - short, 0.0) / (LONG - SHORT) * (start.steps - SHORT)


def records(rounds: int) -> Found:  # noqa: ARG001
    """Time the steps of one cell of each method and data set of each figure, before and now."""
    known = subprocess.run(["git", "cat-file", "-e", f"{BEFORE}^{{commit}}"], cwd=ROOT, check=False)
    if known.returncode:
        raise SystemExit(f"the commit {BEFORE} is not here; fetch the whole history")
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "before"
        subprocess.run(["git", "worktree", "add", "--detach", old, BEFORE], cwd=ROOT, check=True)
        try:
            before, now = (_measured(root) for root in (old, ROOT))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", old], cwd=ROOT, check=True)
    before = {name: seconds for name, seconds in before.items() if name in now}
    for name, seconds in before.items():
        print(f"  {name:55} {seconds:8.1f} s {now[name]:8.1f} s {now[name] / seconds:6.2f}")
    took = {"before": sum(before.values()), "now": sum(now[name] for name in before)}
    return Found(took, [Ratio("now / before", took["now"] / took["before"], 0.6)])


def _measured(root: Path) -> dict[str, float]:
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    command = [sys.executable, __file__]
    told = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    lines = (line.rsplit("\t", 1) for line in told.splitlines() if "\t" in line)
    return {name: float(seconds) for name, seconds in lines}


if __name__ == "__main__":
    for cell, took in one_of_each():
        print(f"{cell}\t{took}", flush=True)
