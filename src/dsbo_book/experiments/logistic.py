"""D-SOBA Experiment 1: twenty agents tune a logistic regression's regulariser.

Kong et al. 2025. The slides give the losses, the number of agents, two heterogeneities and the two
methods that D-SOBA is compared with. The rest is set here, once: made-up data whose heterogeneity
is a number, and two real data sets dealt out unevenly, so that no conclusion hangs on a generator.
Two smaller studies ask what θ does in D-SOBA, and what first order costs as d and p grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from dsbo.algorithms import DSOBA, MADSBO, MDBO, Algorithm
from dsbo.trace import Trace
from dsbo_book.experiments import networks, tasks
from dsbo_book.experiments.study import Cell, Start, Study, cross, grid
from dsbo_book.experiments.tuning import REPORTED, trials

LEVELS = {
    "synthetic": {"mild": 0.5, "severe": 2.0},
    "fashion_mnist": {"mild": 1.0, "severe": 0.1},
    "a9a": {"mild": 1.0, "severe": 0.1},
}
"""What a heterogeneity is, by data set: how much the agents' rules differ from the common one, or
the concentration of the Dirichlet distribution of their class shares."""
PLACES = [(dataset, level) for dataset, levels in LEVELS.items() for level in levels]
"""Where methods are compared: every data set at both heterogeneities."""
UNTIL = {"synthetic": 4000, "fashion_mnist": 4000, "a9a": 1000}
"""Iterations over which they are; on a9a some runs of D-SOBA diverge later."""
LOOPS = 5
"""Steps of MA-DSBO's two inner loops."""
GAMMA = 1 / 3
"""MA-DSBO's gamma by its beta. A loop with tracking bears steps up to (1 + λ)²/(2L), one without up
to (1 + λ)/L, with λ the least eigenvalue of the weights; on this ring, λ = -1/3, a third."""
TERMS = 10
"""Terms of MDBO's Neumann series."""
METHODS: dict[str, Callable[[Any, Any, Any, float], Algorithm]] = {
    "D-SOBA": lambda a, b, theta, _: DSOBA(a, b, b, theta),
    "MA-DSBO": lambda a, b, theta, _: MADSBO(a, b, b * GAMMA, theta, T_y=LOOPS, T_z=LOOPS),
    "MDBO": lambda a, b, theta, L: MDBO(a, b, theta, theta, K=TERMS, L=L),
}
FIRST_ORDER = "D-SOBA-FO"
"""D-SOBA with one-sided differences at its default δ and the steps of D-SOBA."""
BOUNDS = {"synthetic": 2.0, "fashion_mnist": 1.0, "a9a": 6.0}
"""The L of the Neumann series, by data set: above every Hessian of 20 batches of 20 at y = 0, where
the shares are even and the loss is most curved."""
BETAS = {
    "synthetic": (0.1, 0.3, 1.0),
    "fashion_mnist": (0.3, 1.0, 3.0),
    "a9a": (0.03, 0.1, 0.3),
}
CANDIDATES = {name: grid(alpha=(3.0, 10.0), beta=betas) for name, betas in BETAS.items()}
"""By data set; the same for every method."""
TUNED = {
    ("synthetic", "mild"): {
        "D-SOBA": {"alpha": 10.0, "beta": 0.3},
        "MA-DSBO": {"alpha": 10.0, "beta": 1.0},
        "MDBO": {"alpha": 10.0, "beta": 0.3},
    },
    ("synthetic", "severe"): {
        "D-SOBA": {"alpha": 10.0, "beta": 0.3},
        "MA-DSBO": {"alpha": 10.0, "beta": 0.3},
        "MDBO": {"alpha": 10.0, "beta": 0.1},
    },
    ("fashion_mnist", "mild"): {
        "D-SOBA": {"alpha": 10.0, "beta": 3.0},
        "MA-DSBO": {"alpha": 10.0, "beta": 1.0},
        "MDBO": {"alpha": 10.0, "beta": 3.0},
    },
    ("fashion_mnist", "severe"): {
        "D-SOBA": {"alpha": 10.0, "beta": 1.0},
        "MA-DSBO": {"alpha": 10.0, "beta": 0.3},
        "MDBO": {"alpha": 10.0, "beta": 1.0},
    },
    ("a9a", "mild"): {
        "D-SOBA": {"alpha": 10.0, "beta": 0.03},
        "MA-DSBO": {"alpha": 10.0, "beta": 0.03},
        "MDBO": {"alpha": 3.0, "beta": 0.3},
    },
    ("a9a", "severe"): {
        "D-SOBA": {"alpha": 10.0, "beta": 0.03},
        "MA-DSBO": {"alpha": 10.0, "beta": 0.03},
        "MDBO": {"alpha": 10.0, "beta": 0.3},
    },
}
"""What the tuner chose, by data set and heterogeneity; the chapter compares it with the record."""
THETAS = (0.05, 0.1, 0.2, 0.5, 1.0)
SIZES = (30, 100, 300, 600)
"""Numbers of features k; d = k and p = 3k."""
SLOW = {"alpha": 1.0, "beta": 0.1}
"""Steps that suit every size; only cost is compared."""


def start(cell: Cell, steps: int = 4000, every: int = 50, compile: bool = True) -> Start:  # noqa: A002
    """Return what a cell starts; it may also say ``theta`` and the ``features`` of made-up data."""
    dataset, method, features = cell["dataset"], cell["method"], cell.get("features", 60)
    task = {
        "synthetic": partial(tasks.drawn_logistic, features=features, useful=features // 2),
        "fashion_mnist": partial(tasks.dealt_logistic, dataset=dataset, components=features),
        "a9a": partial(tasks.dealt_logistic, dataset=dataset),
    }[dataset]
    by_name = "D-SOBA" if method == FIRST_ORDER else method
    return Start(
        METHODS[by_name](cell["alpha"], cell["beta"], cell.get("theta", 0.2), BOUNDS[dataset]),
        partial(
            task,
            heterogeneity=LEVELS[dataset][cell["heterogeneity"]],
            first_order=method == FIRST_ORDER,
            seed=cell["seed"],
        ),
        networks.regular("ring", 20),
        steps,
        every,
        compile,
    )


def compared(traces: Iterable[Trace], dataset: str, level: str, *methods: str) -> list[Trace]:
    """Return the traces of a data set at a heterogeneity, as far as methods are compared there.

    Parameters
    ----------
    traces : iterable of Trace
        Of this experiment.
    dataset, level : str
        One of `PLACES`.
    *methods : str
        Those that are wanted; without any, all of `METHODS`.
    """
    wanted = {"dataset": dataset, "heterogeneity": level}
    return [
        _until(trace, UNTIL[dataset])
        for trace in traces
        if (cell := trace.provenance["cell"]) == cell | wanted
        and cell["method"] in (methods or METHODS)
    ]


def _until(trace: Trace, step: int) -> Trace:
    """Return a trace up to an iteration, as if it had been run no further."""
    told = {key: value for key, value in trace.provenance.items() if key != "diverged"}
    rows = [row for row in trace.rows if row["step"] <= step]
    return replace(trace, rows=rows, provenance=told)


def _cells(methods: Iterable[str], datasets: Sequence[str] = tuple(LEVELS)) -> list[Cell]:
    """Return the methods on every data set at both heterogeneities."""
    return [
        {"dataset": dataset, "heterogeneity": level, "graph": "ring", "method": method}
        for dataset in datasets
        for level in LEVELS[dataset]
        for method in methods
    ]


def _tuned(cell: Cell) -> Cell:
    """Return a cell with the steps that the tuner chose; first order takes those of D-SOBA."""
    method = "D-SOBA" if cell["method"] == FIRST_ORDER else cell["method"]
    return cell | TUNED[cell["dataset"], cell["heterogeneity"]][method]


def _trials(*datasets: str) -> list[Cell]:
    return trials(_cells(METHODS, datasets), lambda cell: CANDIDATES[cell["dataset"]])


SEVERE = {"dataset": "synthetic", "heterogeneity": "severe", "graph": "ring", "method": "D-SOBA"}
"""The cell whose θ and size are varied."""
FIGURE = [_tuned(cell) for cell in _cells((*METHODS, FIRST_ORDER))]
BY_THETA = cross([_tuned(SEVERE)], grid(theta=THETAS))
# Both variants in turn, so that what slows the machine down slows both.
BY_SIZE = cross(
    [SEVERE | SLOW], grid(features=SIZES, seed=REPORTED), grid(method=("D-SOBA", FIRST_ORDER))
)
quick = partial(start, compile=False, steps=100, every=20)
slow = partial(start, compile=False)  # so that compiling does not count
STUDIES = {
    "paper": Study(cross(FIGURE, grid(seed=REPORTED)), start),
    "quick": Study(cross([c for c in FIGURE if c["dataset"] == "synthetic"], [{"seed": 0}]), quick),
}
"""``quick`` is what a page runs."""
TUNING = {
    "paper": Study(_trials(*LEVELS), partial(start, steps=1000, every=125)),
    "quick": Study(_trials("synthetic"), partial(quick, every=12)),
}
THETA = {
    "paper": Study(cross(BY_THETA, grid(seed=REPORTED)), partial(start, steps=1000, every=25)),
    "quick": Study(cross(BY_THETA, [{"seed": 0}]), partial(quick, steps=60)),
}
SIZE = {
    "paper": Study(BY_SIZE, partial(slow, steps=200, every=200)),
    "quick": Study([c for c in BY_SIZE if c["seed"] == 0], partial(slow, steps=20, every=20)),
}
