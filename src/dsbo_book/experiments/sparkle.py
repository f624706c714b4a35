"""SPARKLE against D-SOBA: cleaning Fashion-MNIST over a sparse graph, and a graph for each level.

Zhu et al. 2024 announce the comparison; the slides of Kong et al. 2025 end with what it asks. The
task is that of their Experiment 2: strongly skewed classes, an adjusted ring whose agents keep most
of their own. Ten agents, every one of the 60 000 labelled samples in use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from dsbo.algorithms import DSOBA, SPARKLE, Algorithm
from dsbo.network import PerLevel
from dsbo.problems import Problem
from dsbo.schedules import Power
from dsbo_book.experiments import networks, tasks
from dsbo_book.experiments.study import Cell, Start, Study, cross, grid
from dsbo_book.experiments.tuning import REPORTED, trials

METHODS: dict[str, Callable[..., Algorithm]] = {
    "D-SOBA": DSOBA,
    "SPARKLE-ED": SPARKLE,
    "SPARKLE-GT": partial(SPARKLE, upper="ATC-GT", lower="ATC-GT", auxiliary="ATC-GT"),
}
SPARSE, DENSE = "adjusted ring", "complete"
PLACES = {"everywhere": (SPARSE, SPARSE), "x": (SPARSE, DENSE), "y, z": (DENSE, SPARSE)}
PLACES["nowhere"] = (DENSE, DENSE)
"""By where the sparse graph is: the graph of x, and that of y and z."""
RATES = (0.2, 0.1, 0.3)
"""Shares of training labels that are corrupted; tuning and `PLACES` are at the first."""
CANDIDATES = [
    {"alpha": 2000.0, "beta": 0.6},
    {"alpha": 2000.0, "beta": 0.3},
    {"alpha": 5000.0, "beta": 0.6},
]
"""The same for every method, on the sparse graph at the first rate."""
TUNED = {
    "D-SOBA": {"alpha": 5000.0, "beta": 0.6},
    "SPARKLE-ED": {"alpha": 2000.0, "beta": 0.3},
    "SPARKLE-GT": {"alpha": 2000.0, "beta": 0.3},
}
"""What the tuner chose; the chapter compares it with the record."""


def start(
    cell: Cell,
    task: Callable[..., Problem] = tasks.cleaning,
    steps: int = 1000,
    every: int = 50,
    compile: bool = True,  # noqa: A002
) -> Start:
    """Return what a cell starts: beta is meant at t = 0 and falls like t^(-1/2) from t = 200 on."""
    beta = Power(cell["beta"] * 200.0**0.5, 200.0, 0.5)
    x, yz = (networks.regular(graph, 10, 0.8) for graph in PLACES[cell["sparse"]])
    network = x if x is yz else PerLevel(x=x, y=yz, z=yz)
    algorithm = METHODS[cell["method"]](cell["alpha"], beta, 0.1, 0.2)
    described = partial(task, rate=cell["rate"], seed=cell["seed"])
    return Start(algorithm, described, network, steps, every, compile)


def cells(rates: Sequence[float], seeds: Sequence[int], share: float = 1.0) -> list[Cell]:
    """Return every method at every rate, then SPARKLE-ED with the sparse graph moved.

    The steps alpha are in proportion to the share of the training samples.
    """
    those = grid(method=METHODS, sparse=["everywhere"], rate=rates)
    those += grid(method=["SPARKLE-ED"], sparse=[*PLACES][1:], rate=rates[:1])
    tuned = [cell | TUNED[cell["method"]] for cell in those]
    return cross([cell | {"alpha": cell["alpha"] * share} for cell in tuned], grid(seed=seeds))


SAMPLE = partial(
    tasks.cleaning, dataset="fashion_mnist-sample", train=4_000, clean=1_000, hidden=50
)
quick = partial(start, task=SAMPLE, steps=100, every=20, compile=False)
TRIALS = trials(grid(method=METHODS, sparse=["everywhere"], rate=RATES[:1]), lambda _: CANDIDATES)
STUDIES = {
    "paper": Study(cells(RATES, REPORTED), start),
    "quick": Study(cells(RATES[:1], [0], share=4_000 / 50_000), quick),
}
"""``quick`` is what a page runs."""
TUNING = {"paper": Study(TRIALS, start), "quick": Study(TRIALS, quick)}
