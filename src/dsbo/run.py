"""Run an algorithm on a problem over a network, and record what happens."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from dsbo import metrics, mixing, provenance
from dsbo.algorithms import Algorithm
from dsbo.allocator import keep_freed_memory
from dsbo.checkpoint import INDEX, Checkpoint, CheckpointError
from dsbo.network import Dense, Network
from dsbo.problems import Problem
from dsbo.trace import ORACLES, Trace
from dsbo.world import Draws, World

Measure = Callable[[Algorithm, Problem, Any], dict[str, float]]
RECORDS = 100
"""Rows that a run records unless told otherwise."""


class Diverged(RuntimeError):
    """A variable became infinite or NaN. Nothing recorded before is lost.

    Attributes
    ----------
    step : int
        The iteration, counted from 1, after which ``variable`` was not finite.
    variable : str
        Name of the variable in the algorithm's State.
    trace : Trace
        The rows so far, and the last finite state.
    """

    def __init__(self, algorithm: Algorithm, step: int, variable: str, trace: Trace) -> None:
        self.step, self.variable, self.trace = step, variable, trace
        super().__init__(
            f"{type(algorithm).__name__} diverged: {variable} is not finite after step {step}. "
            f"The {len(trace.rows)} rows recorded so far are kept. Use smaller steps: {algorithm}"
        )


def run(
    algorithm: Algorithm,
    problem: Problem,
    network: Network | None = None,
    steps: int = 1000,
    seed: int = 0,
    record: int | None = None,
    device: torch.device | str | None = None,
    progress: bool | None = None,
    *,
    measure: Measure = metrics.measure,
    compile: bool = False,  # noqa: A002
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 100,
    resume: bool = False,
) -> Trace:
    """Run ``steps`` iterations and return the trace.

    Parameters
    ----------
    algorithm : Algorithm
        What to run.
    problem : Problem
        On what; its starts give the dtype.
    network : Network, optional
        Over which weights. A centralised algorithm, or a problem with one agent, needs none.
    steps : int
        Iterations.
    seed : int
        Seed of all draws, 0 or larger.
    record : int, optional
        Record a row every so many iterations, and after the last; by default a hundred rows.
    device : torch.device or str, optional
        Where to compute; by default where the problem is.
    progress : bool, optional
        Show a progress bar; by default where somebody looks at a terminal.
    measure : callable
        (algorithm, problem, state) -> dict of numbers for a row.
    compile : bool
        Compile the derivatives. Pays for itself after some hundred iterations of a network.
    checkpoint : path, optional
        Folder for checkpoints; written every ``checkpoint_every`` iterations, after the last and
        on an interrupt.
    resume : bool
        Go on from the checkpoint in that folder if there is one. The result is bitwise that of the
        uninterrupted run.

    Returns
    -------
    Trace
        ``trace.state`` is the final State, ``trace.frame`` the rows, ``trace.provenance`` the
        settings, weights, versions and commit.

    Raises
    ------
    ValueError, TypeError
        If arguments are out of range or the network does not fit the problem.
    Diverged
        If a variable is not finite any more; carries the trace.
    CheckpointError
        If the checkpoint is damaged or belongs to another run.
    """
    record = max(1, _count(steps, "steps") // RECORDS) if record is None else record
    _count(record, "record")
    _count(checkpoint_every, "checkpoint_every")
    _count(seed, "seed", least=0)
    if resume and checkpoint is None:
        raise ValueError("resume needs the folder of the checkpoint: pass checkpoint=…")
    network = _fitting(algorithm, problem, network)
    problem = problem.to(device) if device is not None else problem
    going = _Run(algorithm, problem, network, seed, record, measure, compile)
    if resume and (Path(str(checkpoint)) / INDEX).is_file():
        going.load(Checkpoint.read(str(checkpoint), problem.x0.device))
    going.trace.provenance["steps"] = steps
    bar = tqdm(
        total=steps,
        initial=going.t,
        desc=type(algorithm).__name__,
        unit="step",
        disable=None if progress is None else not progress,
        delay=0.5,
    )
    with bar:
        try:
            while going.t < steps:
                going.advance(last=going.t + 1 == steps)
                bar.update()
                if checkpoint is not None and going.t % checkpoint_every == 0:
                    _write(going.save(), checkpoint)
        except (Diverged, KeyboardInterrupt):
            if checkpoint is not None:
                _write(going.save(), checkpoint)
            raise
    if checkpoint is not None:
        _write(going.save(), checkpoint)
    return going.trace


class _Run:
    """A run between two iterations."""

    def __init__(
        self,
        algorithm: Algorithm,
        problem: Problem,
        network: Network,
        seed: int,
        record: int,
        measure: Measure,
        compiled: bool,
    ) -> None:
        keep_freed_memory()
        self.algorithm, self.problem, self.record, self.measure = (
            algorithm,
            problem,
            record,
            measure,
        )
        self.counts: Counter[str] = Counter(dict.fromkeys((*ORACLES, "rounds", "floats"), 0))
        f, g = problem.f.counted(self.counts), problem.g.counted(self.counts)
        self.world = World(
            f.compiled() if compiled else f,
            g.compiled() if compiled else g,
            Draws(seed, problem.everyone(), problem.upper, problem.lower),
            *network.mixers(problem.x0, self.counts),
        )
        self.identity = provenance.identity(algorithm, problem, network, seed, record)
        told = dict(self.identity) | provenance.environment(problem.x0.device)
        if network.agents <= provenance.PRINTED_AGENTS:
            told["W"] = network.W.tolist()
        self.t, self.seconds = 0, 0.0
        state = algorithm.init(*(_rows(row, problem.agents) for row in (problem.x0, problem.y0)))
        self.trace = Trace(provenance=told, state=state)
        self.note()

    def advance(self, last: bool) -> None:
        """Do one iteration, and record it if it is its turn."""
        started = time.perf_counter()
        state = self.algorithm.step(self.t, self.trace.state, self.world)
        finite = torch.stack([part.sum() for part in state]).isfinite().tolist()
        self.seconds += time.perf_counter() - started
        if not all(finite):
            variable = state._fields[finite.index(False)]
            raise Diverged(self.algorithm, self.t + 1, variable, self.trace)
        self.t += 1
        self.trace.state = state
        if last or self.t % self.record == 0:
            self.note()

    def note(self) -> None:
        """Append a row."""
        row = {"step": self.t, "seconds": self.seconds, **self.counts}
        self.trace.rows.append(row | self.measure(self.algorithm, self.problem, self.trace.state))

    def save(self) -> Checkpoint:
        """Return the run as a checkpoint."""
        tensors = self.trace.state._asdict()
        counts = dict(self.counts)
        return Checkpoint(self.t, tensors, self.trace.rows, counts, self.seconds, self.identity)

    def load(self, saved: Checkpoint) -> None:
        """Go on from a checkpoint of the same run."""
        if saved.made_by != self.identity:
            differ = [k for k in self.identity if saved.made_by.get(k) != self.identity[k]]
            told = "; ".join(
                f"{k} was {saved.made_by.get(k)}, is {self.identity[k]}" for k in differ
            )
            raise CheckpointError(
                f"the checkpoint belongs to another run: {told}. "
                "Resume with the same settings, or give another folder"
            )
        self.t, self.seconds = saved.step, saved.seconds
        self.counts.clear()
        self.counts.update(saved.counts)
        # A row that only marks the end of a shorter run is not one of this run's.
        self.trace.rows = [row for row in saved.rows if row["step"] % self.record == 0]
        self.trace.state = type(self.trace.state)(**saved.tensors)


def _rows(row: Tensor, agents: int) -> Tensor:
    return row.expand(agents, -1).clone()


def _write(saved: Checkpoint, folder: str | Path) -> None:
    """Write a checkpoint; a full disk costs the checkpoint, not the run."""
    try:
        saved.write(folder)
    except OSError as error:
        warnings.warn(f"{error}. The run goes on without this checkpoint", stacklevel=3)


def _fitting(algorithm: Algorithm, problem: Problem, network: Network | None) -> Network:
    """Return the network to use, or say why the given one does not fit."""
    name = type(algorithm).__name__
    if network is None:
        if not algorithm.centralised and problem.agents > 1:
            raise ValueError(
                f"{name} needs a network of {problem.agents} agents, for instance "
                f"Dense(mixing.metropolis(graphs.ring({problem.agents})))"
            )
        return Dense(mixing.average(problem.agents))
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network such as Dense(W), got {type(network).__name__}")
    if network.agents != problem.agents:
        raise ValueError(
            f"the network has {network.agents} agents, the problem {problem.agents}; "
            "make the graph with as many agents as the problem has"
        )
    if algorithm.centralised and network.rho > 1e-12:
        raise ValueError(
            f"{name} is centralised and averages exactly, but the network has rho = "
            f"{network.rho:.3g}; leave the network out"
        )
    algorithm.fits(*network.levels)
    return network


def _count(value: int, name: str, least: int = 1) -> int:
    with suppress(AttributeError):
        value = value.__index__() if not isinstance(value, bool) else value
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return value
