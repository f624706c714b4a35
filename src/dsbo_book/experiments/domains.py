"""Domain reweighting, the leading application of the slides: mixture weights for a language model.

Kong et al. 2025 announce it and give no setting. Eight agents on a ring hold the 20 genres of MASC;
the target, technical texts, is scarce to train on. What weights are worth is told by training from
scratch: Adam on windows drawn as the weights say, on one machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import ClassVar, NamedTuple

from dsbo.algorithms import DSOBA, SPARKLE, Algorithm
from dsbo.algorithms.base import Cost, Lower, Upper
from dsbo.problems import Problem
from dsbo.schedules import Schedule, at
from dsbo.trace import Trace
from dsbo.world import World
from dsbo_book.experiments import corpora, networks
from dsbo_book.experiments.stored import RECORDS, load_record
from dsbo_book.experiments.study import Cell, Start, Study, cross, grid
from dsbo_book.experiments.tuning import trials

METHODS: dict[str, Callable[..., Algorithm]] = {
    "D-SOBA": DSOBA,
    "D-SOBA-FO": DSOBA,
    "SPARKLE-ED": SPARKLE,
}
TARGET = "technical"
SPLITS = (0, 1, 2)
"""Seeds of the deal of windows; a learner draws with the same seed."""
STEPS = {"alpha": 2.0, "beta": 0.5}
"""Of x and y, the same for every method; those of z and of the moving average are 0.1 and 0.2."""
CANDIDATES = grid(alpha=(1.0, 2.0, 4.0), beta=(0.5,))
FIXED = ("uniform", "half target", "target alone", "same share")
"""Weights that nobody learns; the last has the target's learned share, and the rest uniform."""


class XYMV(NamedTuple):
    """The variables: upper, which stays, lower, and Adam's two averages."""

    x: Upper
    y: Lower
    m: Lower
    v: Lower


@dataclass(frozen=True)
class Adam(Algorithm):
    """Adam on the lower level of one agent, x at rest.

    Parameters
    ----------
    beta : float or Schedule
        Step of y. The averages forget at the usual rates, 0.9 and 0.999.
    """

    beta: float | Schedule

    State: ClassVar[type[XYMV]] = XYMV
    title: ClassVar[str] = "Adam"
    source: ClassVar[str] = "Kingma and Ba 2015"
    cost: ClassVar[Cost] = Cost("0", "0", "0", "1", "0", "0")
    centralised: ClassVar[bool] = True

    def step(self, t: int, s: XYMV, w: World) -> XYMV:
        """Return the State of iteration t + 1."""
        _, slope = w.g.grad(s.x, s.y, w.draw.zeta(t))
        m, v = s.m.lerp(slope, 0.1), s.v.lerp(slope.square(), 0.001)
        spread = (v / (1 - 0.999 ** (t + 1))).sqrt() + 1e-8
        return XYMV(s.x, s.y - at(self.beta, t) / (1 - 0.9 ** (t + 1)) * m / spread, m, v)


def start(
    cell: Cell,
    task: Callable[..., Problem] = corpora.domains,
    steps: int = 1000,
    every: int = 50,
) -> Start:
    """Return what a learner starts: its seed is also that of the split."""
    algorithm = METHODS[cell["method"]](cell["alpha"], cell["beta"], 0.1, 0.2)
    described = partial(
        task,
        split=cell["seed"],
        seed=cell["seed"],
        plants=cell.get("plants", False),
        first_order=cell["method"] == "D-SOBA-FO",
    )
    # Equal weights on a ring of eight have the eigenvalue -1/3, too low for exact diffusion.
    ring = networks.regular("adjusted ring", 8, self_weight=0.4)
    return Start(algorithm, described, ring, steps, every)


def weights(trace: Trace) -> dict[str, float]:
    """Return the weight of every domain at the end of a run."""
    last = trace.rows[-1]
    return {name[2:]: p for name, p in last.items() if name.startswith("p ")}


@lru_cache
def learned(split: int) -> dict[str, float]:
    """Return the weights that the record has of D-SOBA on a split."""
    (cell,) = (c for c in LEARNERS if (c["method"], c["seed"]) == ("D-SOBA", split))
    return weights(load_record(Study([cell], start), RECORDS / "domains-paper.npz")[0])


def mixture(method: str, own: dict[str, float]) -> list[float]:
    """Return weights to train with: ``own``, which D-SOBA learned, or some of `FIXED`."""
    if method == "D-SOBA":
        return list(own.values())
    n = len(own)
    share = dict(zip(FIXED, (1 / n, (1 + 1 / n) / 2, 1.0, own[TARGET]), strict=True))[method]
    return [share if name == TARGET else (1 - share) / (n - 1) for name in own]


def retraining(
    cell: Cell,
    own: Callable[[int], dict[str, float]] = learned,
    task: Callable[..., Problem] = corpora.domains,
    steps: int = 1000,
    every: int = 250,
) -> Start:
    """Return what a training from scratch starts with weights that stay.

    Parameters
    ----------
    cell : dict
        ``method`` says whose weights. The start follows the ``split``, the draws the ``seed``.
    own : callable
        Split -> weights that were learned.
    task, steps, every
        As in `start`.
    """
    by_size = cell["method"] == "proportional"
    described = partial(
        task,
        split=cell["split"],
        seed=cell["split"],
        agents=1,
        weights=None if by_size else mixture(cell["method"], own(cell["split"])),
        proportional=by_size,
        width=cell["width"],
        batch=32,
    )
    return Start(Adam(3e-3), described, networks.regular("complete", 1), steps, every)


LEARNERS = cross(grid(method=METHODS), [STEPS], grid(seed=SPLITS))
PLANTS = cross(grid(method=["D-SOBA"], plants=[True]), [STEPS], grid(seed=SPLITS))
RETRAININGS = [
    *grid(
        method=("uniform", "half target", "same share", "D-SOBA"),
        width=[32],
        split=SPLITS,
        seed=(0, 1, 2),
    ),
    *grid(method=("proportional", "target alone"), width=[32], split=[0], seed=[0]),
    *grid(method=("uniform", "D-SOBA"), width=[72], split=SPLITS, seed=[0]),
]
"""A transformer of width 72 has four times as many parameters as one of width 32."""
SAMPLE = partial(corpora.domains, dataset="masc-sample", rows=240, scarce=60)
QUICK = partial(start, task=SAMPLE, steps=100, every=10)
STUDIES = {
    "paper": Study(LEARNERS + PLANTS, start),
    "quick": Study([LEARNERS[0]], QUICK),
}
"""``quick`` is what a page runs, on the sample that comes with the package."""
TUNING = {
    "paper": Study(trials(grid(method=METHODS), lambda _: CANDIDATES), partial(start, steps=400)),
    "quick": Study(trials(grid(method=["D-SOBA"]), lambda _: CANDIDATES), QUICK),
}
RETRAINING = {
    "paper": Study(RETRAININGS, retraining),
    "quick": Study(
        grid(method=("uniform", "half target"), width=[32], split=[0], seed=[0]),
        partial(retraining, task=SAMPLE, steps=100, every=20),
    ),
}
