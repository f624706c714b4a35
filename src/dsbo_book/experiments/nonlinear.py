"""The theory's predictions for D-SOBA on a nonlinear problem: bias at rest and transient time.

The problem is D-SOBA's Experiment 1 made small and well conditioned, so that its point of rest can
be solved for and its transient is short enough to be waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from dsbo.algorithms import DSOBA
from dsbo.schedules import Constant
from dsbo_book.experiments import networks, tasks
from dsbo_book.experiments.study import Cell, Start, Study, cross, grid
from dsbo_book.experiments.tuning import REPORTED

AGENTS, ROWS = 8, 32
"""Number of agents, and rows that a run records, whatever its horizon T."""
SELF_WEIGHTS = (0.2, 1 / 3, 0.45, 0.55, 0.65)
"""Of the rings; a run on the complete graph goes with each horizon."""
HORIZONS = tuple(2**k for k in range(6, 14))


def start(cell: Cell) -> Start:
    """Return what a cell starts; the steps are 20 √(N/T) of x, and √(N/T) of y and z."""
    task = partial(
        tasks.drawn_logistic,
        heterogeneity=3.0,
        agents=AGENTS,
        features=4,
        useful=4,
        classes=2,
        train=100,
        validation=100,
        test=AGENTS,
        batch=5,
        upper_ridge=0.02,
        double=True,
        seed=0,
    )
    T = cell["T"]
    scale = (AGENTS / T) ** 0.5
    alpha, beta, theta = Constant(20.0 * scale), Constant(scale), Constant(0.5)
    network = networks.regular(cell["graph"], AGENTS, cell.get("self_weight"))
    return Start(DSOBA(alpha, beta, beta, theta), task, network, T, T // ROWS)


def _cells(
    horizons: Sequence[int], self_weights: Sequence[float], seeds: Sequence[int]
) -> list[Cell]:
    """Return every horizon on every ring and on the complete graph."""
    graphs = [{"graph": "complete"}, *grid(graph=["adjusted ring"], self_weight=self_weights)]
    return cross([{"method": "D-SOBA"}], grid(T=horizons), graphs, grid(seed=seeds))


STUDIES = {
    "paper": Study(_cells(HORIZONS, SELF_WEIGHTS, REPORTED), start),
    "quick": Study(_cells(HORIZONS[:2], [1 / 3], [0]), start),
}
"""``quick`` is what a page runs."""
