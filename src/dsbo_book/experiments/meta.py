"""DIAMOND's Figs 1 to 3: meta-learning on MNIST and CIFAR-10 over Erdős–Rényi graphs.

Qiu et al. 2023, section VI.1. Every agent has a task of its own: classes skewed by a Dirichlet
draw, half of its samples to fit its classifier on, half to ask how well that went. What the paper
leaves open is set here, once: the split, the widths, the batch, K, L, and how long.
"""

from __future__ import annotations

from functools import partial

from dsbo_book.experiments import networks, tasks
from dsbo_book.experiments.diamond import METHODS, as_printed, by_theorem, candidates
from dsbo_book.experiments.study import Cell, Start, Study, cross, grid, once
from dsbo_book.experiments.tuning import REPORTED, trials

EDGES = (0.3, 0.5, 0.8)
"""Edge probabilities; all methods run at the first, DIAMOND on the smallest network at all."""
PRINTED = {"alpha": 10.0, "beta": 100.0, "eta": 10.0}
ALPHAS = {
    "mnist": (0.1, 0.14, 0.17, 0.22, 0.3, 0.4, 0.55, 0.75, 1.0),
    "cifar10": (0.03, 0.04, 0.055, 0.075, 0.1, 0.14, 0.17, 0.22, 0.3),
}
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
STEPS_TUNED = TUNED
"""What it chose among those of the coarse ``alpha`` whose momentum is the printed one."""
LONG = {"mnist": 6400, "cifar10": 1600}
"""Iterations until the order of methods has not changed over a doubling, by data set."""


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
    """Return the cells of the three figures, and those with printed steps or printed momenta."""
    some, steps = grid(dataset=datasets, agents=agents[:1]), as_printed(PRINTED)
    edges = cross(some, grid(method=["DIAMOND"], edge=others))
    own = cross(some, grid(method=METHODS, edge=EDGES[:1]))
    return once(
        _tuned(datasets, agents)
        + [cell | TUNED[cell["dataset"]][cell["method"]] for cell in edges]
        + [cell | STEPS_TUNED[cell["dataset"]][cell["method"]] for cell in own]
        + [cell | steps[cell["method"]] for cell in own if cell["dataset"] == datasets[0]]
    )


def _candidates(cell: Cell) -> list[Cell]:
    alphas = ALPHAS[cell["dataset"].removesuffix("-sample")]
    return candidates(cell["method"], alphas, (0.1, 0.3), (2.5, 10.0, 40.0))


def _trials(*datasets: str) -> list[Cell]:
    return trials(grid(dataset=datasets, agents=[9], method=METHODS, edge=EDGES[:1]), _candidates)


def _long(cell: Cell) -> Start:
    steps = LONG[cell["dataset"]]
    return start(cell, steps=steps, every=steps // 40)


quick = partial(start, each=200, compile=False)
PAPER = ("mnist", "cifar10"), (9, 15)
STUDIES = {
    "paper": Study(cross(_figures(*PAPER, EDGES[1:]), grid(seed=REPORTED)), start),
    "long": Study(cross(_tuned(*PAPER), grid(seed=REPORTED)), _long),
    "quick": Study(
        cross(_figures(("mnist-sample",), (9,), ()), grid(seed=[0])),
        partial(quick, steps=60),
    ),
}
"""``quick`` is what a page runs, on the sample that comes with the package; ``long`` asks how the
order of methods changes with the budget."""
TUNING = {
    "paper": Study(_trials("mnist", "cifar10"), partial(start, steps=200, every=25)),
    "quick": Study(_trials("mnist-sample"), partial(quick, steps=40)),
}
