"""Actors and critics over a ring: agents with rewards of their own learn one policy together.

Random processes and FrozenLake's 4 x 4 grid; a seed is a process, or the cells that pay an agent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from dsbo.algorithms import DIAMOND, DSOBA, SOBA, SPARKLE, Algorithm
from dsbo.problems import Problem
from dsbo_book.experiments import networks
from dsbo_book.experiments.study import Cell, Start, Study, cross, grid, once
from dsbo_book.experiments.tuning import REPORTED, trials
from dsbo_book.problems import actor_critic
from dsbo_book.problems.decisions import garnet, gridworld, spread

K, L = 40, 3.0
"""Terms of DIAMOND's Neumann series, which converges where the lower Hessians stay below 2 L."""
THETA, PERSONAL, SAMPLES = 0.1, 0.02, 1
"""Weight of the moving average; DIAMOND's ridge; next states drawn of a state and action."""
METHODS: dict[str, Callable[[float, float], Algorithm]] = {
    "SOBA": lambda a, b: SOBA(a, b, b, THETA),
    "D-SOBA": lambda a, b: DSOBA(a, b, b, THETA),
    "SPARKLE-ED": lambda a, b: SPARKLE(a, b, b, THETA),
    "SPARKLE-GT": lambda a, b: SPARKLE(a, b, b, THETA, "ATC-GT", "ATC-GT", "ATC-GT"),
    "SPARKLE-ED, drawn": lambda a, b: SPARKLE(a, b, b, THETA),
    "DIAMOND": lambda a, b: DIAMOND(a, b, 1.0, 1.0, K, L),
}
"""DIAMOND's momenta are 1, that is off: only the lengths of its series are random."""
BETAS = (0.2, 0.4)
CANDIDATES = {
    "garnet": grid(alpha=(0.3, 1.0, 3.0, 10.0, 30.0), beta=BETAS),
    "lake": grid(alpha=(10.0, 30.0, 100.0, 300.0), beta=BETAS),
}
"""By process; the same for every method."""
CHOSEN = {
    "garnet": [(30.0, 0.4), (1.0, 0.4), (30.0, 0.4), (10.0, 0.4), (10.0, 0.4), (30.0, 0.4)],
    "lake": [(300.0, 0.4), (100.0, 0.2), (30.0, 0.4), (30.0, 0.4), (30.0, 0.2), (100.0, 0.4)],
}
TUNED = {
    (problem, method): {"alpha": alpha, "beta": beta}
    for problem, pairs in CHOSEN.items()
    for method, (alpha, beta) in zip(METHODS, pairs, strict=True)
}
"""What the tuner chose; the chapter compares it with the record."""
RING = {"self_weight": 0.5, "heterogeneity": 1.0}
LAKE = {"problem": "lake", "method": "SPARKLE-ED"} | RING | TUNED["lake", "SPARKLE-ED"]
DIAL = [RING | {"heterogeneity": h} for h in (0.0, 0.25, 0.5, 1.0)]
DIAL += [RING | {"self_weight": w} for w in (0.7, 0.9)]
"""Other rewards, other weights: what an agent keeps of its own."""


def decisions(
    process: str,
    seed: int,
    heterogeneity: float,
    ridge: float,
    samples: int | None,
    models: int = 2,
) -> Problem:
    """Return the problem on a process, ``garnet`` or one of `GRIDS`; see `actor_critic`."""
    mdp = garnet(seed) if process == "garnet" else gridworld(process, seed)
    told = {"process": process, "heterogeneity": heterogeneity, "seed": seed}
    return actor_critic(spread(mdp, heterogeneity), ridge, samples, models, told)


def start(cell: Cell, steps: int = 2000, every: int = 200) -> Start:
    """Return what a cell starts; an iteration of DIAMOND, which costs more, counts as eight."""
    personal, drawn = cell["method"] == "DIAMOND", cell["method"].endswith("drawn")
    task = partial(
        decisions,
        process=cell["problem"],
        seed=cell["seed"],
        heterogeneity=cell["heterogeneity"],
        ridge=PERSONAL if personal else 3e-4,
        samples=SAMPLES if drawn else None,
    )
    graph = "complete" if cell["method"] == "SOBA" else "adjusted ring"
    network = networks.regular(graph, 8, cell["self_weight"])
    method, share = METHODS[cell["method"]](cell["alpha"], cell["beta"]), 8 if personal else 1
    return Start(method, task, network, steps // share, every // share)


def _cells(methods: Sequence[str], problems: Sequence[str], places: Sequence[Cell]) -> list[Cell]:
    those = cross(grid(problem=problems, method=methods), places)
    return [cell | TUNED[cell["problem"], cell["method"]] for cell in those]


FIGURE = _cells([*METHODS], [*CANDIDATES], [RING])
# D-SOBA with the steps of SPARKLE, so that what differs is the method alone.
MORE = [
    cell | TUNED["garnet", "SPARKLE-ED"]
    for cell in _cells(["D-SOBA", "SPARKLE-ED"], ["garnet"], DIAL)
]
TRIALS = trials(
    cross(grid(problem=CANDIDATES, method=METHODS), [RING]),
    lambda cell: CANDIDATES[cell["problem"]],
)
STUDIES = {
    "paper": Study(cross(once(FIGURE + MORE), grid(seed=REPORTED)), start),
    "quick": Study(
        cross([*FIGURE[: len(METHODS)], LAKE], [{"seed": 0}]), partial(start, steps=200)
    ),
}
"""``quick`` is what a page runs: the record's first rows."""
TUNING = {
    "paper": Study(TRIALS, partial(start, steps=1000, every=250)),
    "quick": Study(TRIALS, partial(start, steps=80, every=8)),
}
