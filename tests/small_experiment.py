"""A small study, also for the command line and torchrun; a rank may be told to die once."""

import os
import signal
import sys
from functools import partial

from cases import STEPS, lazy_ring, quadratic

from dsbo import DSOBA, Dense
from dsbo.network.ranks import here
from dsbo_book.cli import main
from dsbo_book.experiments import EXPERIMENTS, Experiment
from dsbo_book.experiments.study import Start, Study, grid

SMALL = Experiment("A small one", "small_experiment", scales=("quick",))


def problem(N, noise):
    return quadratic(N=N, noise=noise)[1]


def start(cell, steps=150, every=50, noise=0.5, theta=0.3):
    algorithm = DSOBA(**STEPS | {"alpha": cell.get("alpha", 0.1)}, theta=theta)
    described = partial(problem, N=6, noise=noise)
    return Start(algorithm, described, Dense(lazy_ring(6)), steps, every, keep=True)


CELLS = grid(method=["D-SOBA"], graph=["ring"], seed=[0])
STUDIES = {"quick": Study(CELLS, start)}


def die_once(rank):
    """Let a rank be killed in iteration 130 of its first life."""
    sound = DSOBA.step

    def step(self, t, s, w):
        first_life = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        if t == 130 and first_life and here().rank == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        return sound(self, t, s, w)

    DSOBA.step = step


if __name__ == "__main__":
    EXPERIMENTS["small"] = SMALL
    if "DIES" in os.environ:
        die_once(int(os.environ["DIES"]))
    sys.exit(main())
