"""One cell of each record, by this code and by that of a commit before, on this machine.

Each code runs in a process of its own, in turn; the data sets must be there (``dsbo data fetch``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from timing import Found, Ratio

ROOT = Path(__file__).parents[1]
BEFORE = "9644cd8"
"""The commit before the package was made fast."""


def one_of_each() -> dict[str, float]:
    """Return seconds a step, metrics left out, of the first cell of each record, times its steps.

    A figure's methods count each; of tunings and repeated figures the first cell stands for all.
    """
    import torch

    from dsbo import run
    from dsbo_book.experiments import EXPERIMENTS

    torch.set_num_threads(2)
    found = {}
    for name, known in EXPERIMENTS.items():
        study = known.study("paper")
        seen = set()
        for cell in study.cells:
            kind = cell.get("method"), cell.get("dataset"), cell.get("problem")
            if kind in seen or "tuning" in name:
                continue
            seen.add(kind)
            start = study.start(cell)
            problem = start.problem()

            def seconds(steps: int, start: Any = start, problem: Any = problem) -> float:
                began = time.perf_counter()
                run(
                    start.algorithm, problem, start.network, steps=steps, every=steps,
                    compile=start.compile, measure=lambda *_: {},
                )  # fmt: skip
                return time.perf_counter() - began

            seconds(5)
            few, more = 10, 60
            short, long = (median(seconds(n) for _ in range(3)) for n in (few, more))
            found[f"{name} {'/'.join(str(k) for k in kind if k)}"] = (
                max(long - short, 1e-9) / (more - few) * start.steps
            )
    return found


def records(rounds: int) -> Found:  # noqa: ARG001
    """Time the steps of one cell of each method and data set of each figure, before and now."""
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "before"
        subprocess.run(["git", "worktree", "add", "--detach", old, BEFORE], cwd=ROOT, check=True)
        try:
            before, now = (_measured(root) for root in (old, ROOT))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", old], cwd=ROOT, check=True)
    for name, seconds in before.items():
        print(f"  {name:55} {seconds:8.1f} s {now[name]:8.1f} s {now[name] / seconds:6.2f}")
    took = {"before": sum(before.values()), "now": sum(now.values())}
    return Found(took, [Ratio("now / before", took["now"] / took["before"], 0.6)])


def _measured(root: Path) -> dict[str, float]:
    command = [sys.executable, __file__]
    told = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(root / "src")}, capture_output=True,
        text=True, check=True,
    ).stdout  # fmt: skip
    lines = (line.rsplit("\t", 1) for line in told.splitlines() if "\t" in line)
    return {name: float(seconds) for name, seconds in lines}


if __name__ == "__main__":
    for cell, took in one_of_each().items():
        print(f"{cell}\t{took}")
