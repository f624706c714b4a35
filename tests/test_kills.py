"""A study that is killed anywhere, by any signal, loses nothing that was written, and goes on.

A process sends the signal to itself at a counted call, so that every kill is at the same place.
"""

import itertools
import multiprocessing
import os
import shutil
import signal
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from cases import STEPS, lazy_ring, quadratic

from dsbo import DSOBA, Dense, PeerLost, Peers, Trace
from dsbo.checkpoint import FILE, Checkpoint, read_sealed
from dsbo.network import spawn
from dsbo.network.ranks import here
from dsbo.problems import Quadratic
from dsbo_book.experiments import record
from dsbo_book.experiments.running import run_study
from dsbo_book.experiments.study import Start, Study, grid, stem

TIMEOUT = 3.0
RING = 6
LENGTH, EVERY, KEPT = 130, 10, 100
"""Steps of a run, rows, and the step of the checkpoint on the way."""
EARLIER = {"earlier": Trace([{"step": 0, "loss": 0.5}], {"seed": 7})}


def problem(noise):
    return quadratic(N=RING, noise=noise)[1]


def start(transport, cell):
    described = partial(problem, noise=cell["noise"])
    network = transport(lazy_ring(RING))
    return Start(DSOBA(**STEPS, theta=0.3), described, network, LENGTH, EVERY, keep=True)


# Of problems that differ, so that the runs are not swept, which keeps no checkpoints.
CELLS = grid(noise=[0.5, 0.4], seed=[0])
FIRST, SECOND = map(stem, CELLS)
TRANSPORTS = {1: Dense, 3: Peers}


def study(out, processes):
    """The study as so many processes run it, or go on with it; one alone gives the same bits."""
    own = Study(CELLS, partial(start, TRANSPORTS[processes]))
    return run_study(own, out, progress=False, resume=True)


class Killing:
    """A function that kills its process at its k-th call, or with half of what it writes there."""

    def __init__(self, sound, at, rank, how):
        self.sound, self.left, self.rank, self.how = sound, at, rank, how

    def due(self):
        self.left -= 1
        return self.left == 0 and here().rank == self.rank

    def bound(self):
        def call(*args, **kwargs):
            if self.due():
                os.kill(os.getpid(), self.how)
            return self.sound(*args, **kwargs)

        return call

    def halfway(self):
        def write(path, content):
            if FILE in path.name and self.due():
                self.sound(path, content[: len(content) // 2])
                os.kill(os.getpid(), self.how)
            return self.sound(path, content)

        return write


def doomed(where, how, rank, out, processes):
    """The study, in a process of its own, which does not come to its end."""
    killing = partial(Killing, rank=rank, how=how)
    if where == "step":
        DSOBA.step = killing(DSOBA.step, 117).bound()
    elif where == "measure":
        Quadratic.upper_loss = killing(Quadratic.upper_loss, 12).bound()
    elif where == "checkpoint":  # the last of the run
        Path.write_bytes = killing(Path.write_bytes, 2).halfway()
    else:
        record._write_array = killing(record._write_array, 5).bound()
    study(out, processes)


def alone(job):
    """Do a job in one process that has not joined others, and return how it ended."""
    process = multiprocessing.get_context("forkserver").Process(target=job, daemon=True)
    process.start()
    process.join(60)
    return process.exitcode


def rows(trace):
    return repr([{k: v for k, v in row.items() if k != "seconds"} for row in trace.rows])


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """What the study gives in one process, or in several, that nobody kills, and where it is."""

    @cache
    def made(processes):
        out = tmp_path_factory.mktemp("whole")
        return study(out, processes), out

    return made


@pytest.fixture(autouse=True, scope="module")
def _imported():
    """Let the process that new ones are forked from import torch, so that no test waits for it."""
    spawn(partial(int, 0), 1)


PLACES = ("step", "measure", "checkpoint", "record")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def points():
    """All places, signals and numbers of processes; three processes take a while to miss one."""
    for where, how in itertools.product(PLACES, SIGNALS):
        yield where, how, 1
        often = (where, how) == ("checkpoint", signal.SIGKILL)
        yield pytest.param(where, how, 3, marks=() if often else pytest.mark.fuzz)


@pytest.mark.parametrize(("where", "how", "processes"), [*points()])
def test_a_study_that_is_killed_goes_on_bitwise(tmp_path, where, how, processes, unbroken):
    out, folder = tmp_path / "all.npz", tmp_path / "all.npz.runs"
    want, sound = unbroken(processes)
    before = record.write(out, EARLIER, {}).read_bytes()
    folder.mkdir()  # in which the first run is done
    for file in sound.glob(f"{FIRST}.*"):
        shutil.copy(file, folder)
    rank = processes - 1 if where == "step" else 0  # rank 0 alone measures and writes
    job = partial(doomed, where, how, rank, out, processes)
    if processes == 1:
        assert alone(job) == (1 if how == signal.SIGINT else -how)
    else:
        with pytest.raises((PeerLost, RuntimeError), match=rf"rank {rank} "):
            spawn(job, processes, TIMEOUT)
    # What had been written is there ...
    assert out.read_bytes() == before
    assert rows(Trace.load(folder / f"{FIRST}.csv")) == rows(want[0])
    if where == "record":
        assert rows(Trace.load(folder / f"{SECOND}.csv")) == rows(want[1])
    else:
        saved = Checkpoint.read(folder / ".checkpoints" / SECOND)
        assert saved.step >= KEPT
        assert rows(Trace(saved.rows)) == rows(Trace(want[1].rows[: len(saved.rows)]))
    # ... and what comes of it is what would have come.
    got = study(out, processes)
    held = record.read(out)
    assert rows(held.traces.pop("earlier")) == rows(EARLIER["earlier"])
    for name, trace, other in zip((FIRST, SECOND), got, want, strict=True):
        assert rows(trace) == rows(other)
        assert rows(Trace([*map(record.shortened, trace.rows)])) == rows(held.traces[name])
        mean = read_sealed(sound / f"{name}.safetensors")[0]["xbar"]
        assert held.kept[name].tobytes() == mean.numpy().tobytes()
    if where != "record":
        assert all(map(torch.equal, got[1].state, want[1].state))
    # Of what a killed process was writing a part may be left, which nobody reads.
    left = [path.name for path in tmp_path.rglob("*") if path.is_file() and path != out]
    assert len(left) <= 1
    assert all(name.startswith(".") for name in left)
