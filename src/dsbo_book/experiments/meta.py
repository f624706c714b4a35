"""DIAMOND's Figs 1 to 3: meta-learning on MNIST and CIFAR-10 over Erdős–Rényi graphs.

Qiu et al. 2023, section VI.1. Every agent has a task of its own: classes skewed by a Dirichlet
draw, half of its samples to fit its classifier on, half to ask how well that went. What the paper
leaves open is set here, once: the split, the widths, the batch, K, L, and how long.
"""

from __future__ import annotations

from functools import partial

from dsbo_book.experiments import networks, tasks
from dsbo_book.experiments.diamond import METHODS, as_printed, by_theorem
from dsbo_book.experiments.study import Cell, Start, Study, cross, grid
from dsbo_book.experiments.tuning import REPORTED, trials

EDGES = (0.3, 0.5, 0.8)
"""Edge probabilities; all methods run at the first, DIAMOND on the smallest network at all."""
PRINTED = {"alpha": 10.0, "beta": 100.0, "eta": 10.0}
CANDIDATES = grid(alpha=(0.03, 0.1, 0.3), beta=(0.1, 0.3))
"""Steps; the momenta beside them are the printed ones."""
ON_MNIST = {
    "DIAMOND": {"alpha": 0.3, "beta": 0.3, "eta": 10.0},
    "GT-SGD": {"alpha": 0.3, "beta": 0.3},
    "M-SGD": {"alpha": 0.1, "beta": 0.3, "eta": 10.0},
    "D-SGD": {"alpha": 0.1, "beta": 0.3},
}
ON_CIFAR10 = {
    "DIAMOND": {"alpha": 0.1, "beta": 0.1, "eta": 10.0},
    "GT-SGD": {"alpha": 0.1, "beta": 0.1},
    "M-SGD": {"alpha": 0.03, "beta": 0.1, "eta": 10.0},
    "D-SGD": {"alpha": 0.03, "beta": 0.1},
}
TUNED = {"mnist": ON_MNIST, "cifar10": ON_CIFAR10, "mnist-sample": ON_MNIST}
"""What the tuner chose, by data set and method; the chapter compares it with the record."""
LONG = {("mnist", 9): 6400, ("mnist", 15): 1600, ("cifar10", 9): 3200, ("cifar10", 15): 800}
"""Iterations of the longer runs, by data set and agents."""


def start(
    cell: Cell,
    each: int = 500,
    steps: int = 400,
    every: int = 20,
    compile: bool = True,  # noqa: A002
) -> Start:
    """Return what a cell starts, where an agent has ``each`` samples of each kind.

    With tanh features and s = 1 half the squared length of the features plus s, 11.5, bounds the
    lower Hessians in any case; on batches they stay below 5.
    """
    known = {key: cell[key] for key in ("dataset", "agents", "seed")}
    task = partial(tasks.meta, **known, support=each, query=each)
    network = networks.random(cell["agents"], cell["edge"], cell["seed"])
    return Start(by_theorem(cell, K=10, L=6.0), task, network, steps, every, compile)


def _tuned(datasets: tuple[str, ...], agents: tuple[int, ...]) -> list[Cell]:
    """Return every method on the first graphs, with its steps."""
    cells = grid(dataset=datasets, agents=agents, method=METHODS, edge=EDGES[:1])
    return [cell | TUNED[cell["dataset"]][cell["method"]] for cell in cells]


def _figures(
    datasets: tuple[str, ...], agents: tuple[int, ...], others: tuple[float, ...]
) -> list[Cell]:
    """Return the cells of the three figures, and the one with the printed steps."""
    some = grid(dataset=datasets, agents=agents[:1], method=["DIAMOND"])
    edges = cross(some, grid(edge=others))
    edges = [cell | TUNED[cell["dataset"]]["DIAMOND"] for cell in edges]
    return [*_tuned(datasets, agents), *edges, some[0] | {"edge": EDGES[0]} | PRINTED]


def _trials(*datasets: str) -> list[Cell]:
    cells = grid(dataset=datasets, agents=[9], method=METHODS, edge=EDGES[:1])
    printed = as_printed(PRINTED)
    return trials(cells, lambda cell: [printed[cell["method"]] | steps for steps in CANDIDATES])


def _long(cell: Cell) -> Start:
    steps = LONG[cell["dataset"], cell["agents"]]
    return start(cell, steps=steps, every=steps // 40)


quick = partial(start, each=200, compile=False)
PAPER = ("mnist", "cifar10"), (9, 15)
STUDIES = {
    "paper": Study(cross(_figures(*PAPER, EDGES[1:]), grid(seed=REPORTED)), start),
    "long": Study(cross(_tuned(*PAPER), grid(seed=REPORTED)), _long),
    "quick": Study(
        cross(_figures(("mnist-sample",), (9,), ()), grid(seed=[0])), partial(quick, steps=60)
    ),
}
"""``quick`` is what a page runs, on the sample that comes with the package; ``long`` asks how the
order of methods changes with the budget."""
TUNING = {
    "paper": Study(_trials("mnist", "cifar10"), partial(start, steps=200)),
    "quick": Study(_trials("mnist-sample"), partial(quick, steps=40)),
}
