"""D-SOBA Experiment 2: cleaning corrupted Fashion-MNIST over four graphs.

Kong et al. 2025. Ten agents hold 50 000 training samples, a share of them with wrong labels, and
10 000 clean ones; an agent's classes are skewed by a Dirichlet draw. What the slides leave open is
set here, once: the corruption rates, the skew, the batch, the steps, the weights of the graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from dsbo.algorithms import DSOBA, Algorithm, SingleLevelDSGD
from dsbo.problems import Problem
from dsbo.schedules import Constant, Power
from dsbo_book.experiments import networks, tasks
from dsbo_book.experiments.study import Cell, Start, Study, cross, grid
from dsbo_book.experiments.tuning import REPORTED, trials

GRAPHS = ("complete", "exponential", "torus", "adjusted ring")
SELF_WEIGHT = 0.8
"""What an agent of the adjusted ring keeps of its own."""
# sigmoid(40) is 1 and sigmoid(-40) is 0 in single precision.
TRUST = {"D-SOBA": None, "unweighted": (40.0, 40.0), "clean only": (40.0, -40.0)}
"""By method the x that clean and corrupted samples start from. The methods are D-SOBA; training on
all samples alike (the floor); on the clean ones alone (the ceiling)."""
METHODS = tuple(TRUST)
RATES = (0.2, 0.1, 0.3)
"""Shares of training labels that are corrupted; the graphs are compared at the first."""
CANDIDATES = {
    "paper": {
        "D-SOBA": [
            {"alpha": 1000.0, "beta": 0.8},
            {"alpha": 2000.0, "beta": 0.8},
            {"alpha": 2000.0, "beta": 1.2},
        ],
        "unweighted": grid(beta=(0.3, 0.5, 0.8)),
        "clean only": grid(beta=(0.3, 0.5, 0.8)),
    },
    "small": {
        "D-SOBA": [
            {"alpha": 500.0, "beta": 0.5},
            {"alpha": 500.0, "beta": 0.8},
            {"alpha": 200.0, "beta": 0.8},
        ],
        "unweighted": grid(beta=(0.2, 0.35, 0.5)),
        "clean only": grid(beta=(0.2, 0.35, 0.5)),
    },
}
"""By scale and method; the same number for every method."""
TUNED = {
    "paper": {
        "D-SOBA": {"alpha": 2000.0, "beta": 1.2},
        "unweighted": {"beta": 0.5},
        "clean only": {"beta": 0.8},
    },
    "small": {
        "D-SOBA": {"alpha": 200.0, "beta": 0.8},
        "unweighted": {"beta": 0.5},
        "clean only": {"beta": 0.5},
    },
    "quick": {
        "D-SOBA": {"alpha": 500.0, "beta": 0.8},
        "unweighted": {"beta": 0.5},
        "clean only": {"beta": 0.5},
    },
}
"""What the tuner chose, by scale and method; the chapter compares it with the record."""


def start(
    cell: Cell,
    task: Callable[..., Problem] = tasks.cleaning,
    steps: int = 2000,
    every: int = 50,
    compile: bool = True,  # noqa: A002
) -> Start:
    """Return what a cell starts: beta is meant at t = 0 and falls like t^(-1/2) from t = 200 on."""
    beta = Power(cell["beta"] * 200.0**0.5, 200.0, 0.5)
    algorithm: Algorithm = SingleLevelDSGD(beta)
    if cell["method"] == "D-SOBA":
        algorithm = DSOBA(Constant(cell["alpha"]), beta, Constant(0.1), Constant(0.2))
    network = networks.regular(cell["graph"], 10, SELF_WEIGHT)
    drawn = ("D-SOBA", "complete", RATES[0], 0)
    keep = tuple(cell[name] for name in ("method", "graph", "rate", "seed")) == drawn
    described = partial(task, rate=cell["rate"], seed=cell["seed"], trust=TRUST[cell["method"]])
    return Start(algorithm, described, network, steps, every, compile, keep)


def cells(
    scale: str, graphs: Sequence[str], rates: Sequence[float], seeds: Sequence[int]
) -> list[Cell]:
    """Return the cells of a scale.

    At the first rate D-SOBA on every graph; at every rate D-SOBA, the floor and the ceiling on the
    complete one.
    """
    those = grid(method=["D-SOBA"], graph=graphs[1:], rate=rates[:1])
    those += grid(method=METHODS, graph=graphs[:1], rate=rates)
    return cross([cell | TUNED[scale][cell["method"]] for cell in those], grid(seed=seeds))


def _trials(scale: str) -> list[Cell]:
    cells = grid(method=METHODS, graph=GRAPHS[:1], rate=RATES[:1])
    return trials(cells, lambda cell: CANDIDATES[scale][cell["method"]])


SAMPLE = partial(tasks.cleaning, dataset="fashion_mnist-sample", train=4_000, clean=1_000)
TENTH = partial(tasks.cleaning, train=5_000, clean=1_000)
small = partial(start, task=TENTH, steps=500, every=25)
quick = partial(start, task=SAMPLE, steps=120, every=20, compile=False)
STUDIES = {
    "paper": Study(cells("paper", GRAPHS, RATES, REPORTED), start),
    "small": Study(cells("small", GRAPHS[:1], RATES[:1], REPORTED), small),
    "quick": Study(cells("quick", GRAPHS, RATES[:1], [0]), quick),
}
"""``quick`` is what a page runs, on the sample that comes with the package; ``small`` has a tenth
of the data, where a network memorises wrong labels sooner."""
TUNING = {
    "paper": Study(_trials("paper"), start),
    "small": Study(_trials("small"), small),
    "quick": Study(_trials("small"), quick),
}
