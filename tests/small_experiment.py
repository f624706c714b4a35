"""The command line with a small experiment, for torchrun; a rank may be told to die once."""

import os
import signal
import sys

from cases import STEPS, lazy_ring, quadratic

from dsbo import DSOBA, Dense
from dsbo.network.ranks import here
from dsbo_book.cli import main
from dsbo_book.experiments import EXPERIMENTS, Experiment
from dsbo_book.experiments.jobs import Job

STEPS_TAKEN, RECORD = 150, 50
SCALES = {"quick": STEPS_TAKEN}


def start():
    return DSOBA(**STEPS, theta=0.3), quadratic(N=6, noise=0.5)[1], Dense(lazy_ring(6))


def jobs(steps, seeds):
    told = {"method": "D-SOBA", "graph": "ring", "seed": (seeds or (0,))[0]}
    return [Job("small", told, start, steps, RECORD, keep=True)]


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
    EXPERIMENTS["small"] = Experiment("A small one", "small_experiment")
    if "DIES" in os.environ:
        die_once(int(os.environ["DIES"]))
    sys.exit(main())
