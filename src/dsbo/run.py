"""Run an algorithm on a problem over a network, and record what happens."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from dsbo import metrics, mixing, provenance
from dsbo.algorithms import Algorithm
from dsbo.allocator import keep_freed_memory
from dsbo.checkpoint import INDEX, Checkpoint, CheckpointError
from dsbo.levels import Level, OneByOne
from dsbo.network import Dense, Network, PeerLost, Peers
from dsbo.network.ranks import ALONE, Ranks, here
from dsbo.network.watch import lagging
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
        self.algorithm, self.step, self.variable, self.trace = algorithm, step, variable, trace
        super().__init__(
            f"{type(algorithm).__name__} diverged: {variable} is not finite after step {step}. "
            f"The {len(trace.rows)} rows recorded so far are kept. Use smaller steps: {algorithm}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.algorithm, self.step, self.variable, self.trace)


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
        on an interrupt. Of several processes rank 0 alone writes and reads it, and an interrupt
        leaves the last one written.
    resume : bool
        Go on from the checkpoint in that folder if there is one. The result is bitwise that of the
        uninterrupted run. With `Peers` the number of processes may be another one.

    Returns
    -------
    Trace
        ``trace.state`` is the final State, ``trace.frame`` the rows, ``trace.provenance`` the
        settings, weights, versions and commit. Of several processes rank 0 has the State of all
        agents, each other one that of the agents it holds.

    Raises
    ------
    ValueError, TypeError
        If arguments are out of range, the network does not fit the problem, or another rank was
        started with other settings.
    PeerLost
        If another rank ended or does not answer; says what the last checkpoint is.
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
    going.trace.provenance["steps"] = steps
    keeping = {"steps": steps, "every": checkpoint_every, "kept": checkpoint is not None}
    _agree(network.ranks, going.identity | keeping | {"resume": resume})
    bar = tqdm(
        total=steps,
        desc=type(algorithm).__name__,
        unit="step",
        disable=True if network.ranks.rank else None if progress is None else not progress,
        delay=0.5,
    )
    with bar, going.telling_what_is_kept():
        going.begin(Path(checkpoint) if resume and checkpoint is not None else None)
        bar.update(going.t)
        try:
            while going.t < steps:
                going.advance(last=going.t + 1 == steps)
                bar.update()
                if checkpoint is not None and going.t % checkpoint_every == 0:
                    going.keep(checkpoint)
        except (Diverged, KeyboardInterrupt) as error:
            # An interrupt reaches the ranks at different iterations; then the last one kept stands.
            together = isinstance(error, Diverged) or network.ranks.count == 1
            if checkpoint is not None and together:
                going.keep(checkpoint)
            raise
        if checkpoint is not None:
            going.keep(checkpoint)
        going.trace.state = going.whole()
    return going.trace


class _Run:
    """A run between two iterations, as one process sees it."""

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
        self.ranks = network.ranks
        self.counts: Counter[str] = Counter(dict.fromkeys((*ORACLES, "rounds", "floats"), 0))
        self.calls: Counter[str] = Counter()
        self.pending: list[list[int]] = []
        held = network.held
        self.world = World(
            _level(problem.f, self.calls, compiled, network.batched),
            _level(problem.g, self.calls, compiled, network.batched),
            Draws(
                seed,
                problem.everyone()[held.start : held.stop],
                problem.upper,
                problem.lower,
            ),
            *network.mixers(problem.x0, self.counts),
        )
        self.identity = provenance.identity(algorithm, problem, network, seed, record)
        told = dict(self.identity) | provenance.environment(problem.x0.device)
        if network.agents <= provenance.PRINTED_AGENTS:
            told["W"] = network.W.tolist()
        self.t, self.seconds, self.busy = 0, 0.0, 0.0
        self.kept = "No checkpoint was written; give a folder with checkpoint=…"
        self.slow: set[int] = set()
        self.state = algorithm.init(*(_rows(row, len(held)) for row in (problem.x0, problem.y0)))
        self.trace = Trace(provenance=told)

    def begin(self, folder: Path | None) -> None:
        """Go on from the checkpoint in ``folder`` if there is one, else record the start."""
        saved = self._read(folder) if folder is not None else None
        if saved is None:
            self.note()
        else:
            self.load(saved)
            self.kept = f"The last checkpoint is of step {self.t} in {folder}; resume from it"

    def advance(self, last: bool) -> None:
        """Do one iteration, and record it if it is its turn."""
        started, waited = time.perf_counter(), self.ranks.waited
        state = self.algorithm.step(self.t, self.state, self.world)
        finite = torch.stack([part.sum() for part in state]).isfinite().tolist()
        self.busy += time.perf_counter() - started - (self.ranks.waited - waited)
        # The first that is not finite on any rank is the farthest from the end.
        bad = self.ranks.most(0 if all(finite) else len(finite) - finite.index(False))
        self.seconds += time.perf_counter() - started
        if bad:
            self.trace.state = self.whole()
            raise Diverged(self.algorithm, self.t + 1, state._fields[-bad], self.trace)
        self.pending.append([self.calls[kind] for kind in ORACLES])
        self.calls.clear()
        self.t += 1
        self.state = state
        if last or self.t % self.record == 0:
            self.note()

    def whole(self) -> Any:
        """Return the State of all agents on rank 0, elsewhere that of the agents held there."""
        rows = (self.ranks.gather(part, self.problem.agents) for part in self.state)
        return type(self.state)(*rows)

    def note(self) -> None:
        """Append a row, the same on every rank."""
        self._settle()
        state = self.whole()
        row = {"step": self.t, "seconds": self.seconds, **self.counts}
        self.trace.rows.append(
            self.ranks.first(lambda: row | self.measure(self.algorithm, self.problem, state))
        )

    def keep(self, folder: str | Path) -> None:
        """Write a checkpoint; a full disk costs the checkpoint, not the run."""
        self._settle()
        tensors, counts = self.whole()._asdict(), dict(self.counts)

        def write() -> bool:
            saved = Checkpoint(
                self.t, tensors, self.trace.rows, counts, self.seconds, self.identity
            )
            try:
                saved.write(folder)
            except OSError as error:
                warnings.warn(f"{error}. The run goes on without this checkpoint", stacklevel=5)
                return False
            return True

        if self.ranks.first(write):
            self.kept = f"The last checkpoint is of step {self.t} in {folder}; resume from it"

    def load(self, saved: Checkpoint) -> None:
        """Go on from a checkpoint of the same run."""
        if saved.made_by != self.identity:
            differ = [k for k in self.identity if saved.made_by.get(k) != self.identity[k]]
            told = "; ".join(
                f"{k} was {saved.made_by.get(k)}, is {self.identity[k]}" for k in differ
            )
            raise CheckpointError(
                f"the checkpoint belongs to another run: {told}. "
                f"{self._remedy(saved.made_by)}, or give another folder"
            )
        self.t, self.seconds = saved.step, saved.seconds
        self.counts.clear()
        self.counts.update(saved.counts)
        # A row that only marks the end of a shorter run is not one of this run's.
        self.trace.rows = [row for row in saved.rows if row["step"] % self.record == 0]
        everyone = self.problem.agents
        self.state = type(self.state)(
            *(
                self.ranks.scatter(saved.tensors.get(name), part, everyone)
                for name, part in self.state._asdict().items()
            )
        )

    def _remedy(self, made_by: dict[str, Any]) -> str:
        """Return how to resume what another kind of network with the same weights began."""
        was, now = made_by.get("network", {}), self.identity["network"]
        if made_by != self.identity | {"network": {**now, "kind": was.get("kind")}}:
            return "Resume with the same settings"
        how = (
            "under torchrun, any number of processes"
            if "Peers" in was["kind"]
            else "in one process"
        )
        return (
            f"{was['kind']} and {now['kind']} sum in different orders, so their runs agree to "
            f"rounding but not bitwise: resume with {was['kind']}, {how}"
        )

    @contextmanager
    def telling_what_is_kept(self) -> Iterator[None]:
        """Add to the loss of a rank what is left."""
        try:
            yield
        except PeerLost as error:
            raise PeerLost(error.rank, error.reason, self.kept) from error

    def _read(self, folder: Path) -> Checkpoint | None:
        """Return the checkpoint that rank 0 finds; on the other ranks without its tensors."""
        found: list[Checkpoint] = []

        def read() -> Checkpoint | None:
            if not (folder / INDEX).is_file():
                return None
            found.append(Checkpoint.read(folder, self.problem.x0.device))
            return replace(found[0], tensors={})

        saved = self.ranks.first(read)
        return found[0] if found else saved

    def _settle(self) -> None:
        """Count the iterations since the last time, each with the calls of its busiest rank."""
        told = self.ranks.hear((self.pending, self.busy))
        for calls in zip(*(pending for pending, _ in told), strict=True):
            self.counts.update(dict(zip(ORACLES, map(max, *calls, calls[0]), strict=True)))
        for rank, seconds, usual in lagging([busy for _, busy in told]):
            if self.ranks.rank == 0 and rank not in self.slow:
                self.slow.add(rank)
                warnings.warn(
                    f"rank {rank} is slow: since the last row it computed for {seconds:.1f} s, "
                    f"the others for {usual:.1f} s. All wait for it; look at its machine",
                    stacklevel=4,
                )
        self.pending, self.busy = [], 0.0


def _level(level: Level, calls: Counter[str], compiled: bool, batched: bool) -> Level:
    level = level.counted(calls)
    level = level.compiled() if compiled else level
    return level if batched else OneByOne.of(level)


def _agree(ranks: Ranks, told: dict[str, Any]) -> None:
    """Refuse to start if a rank was started with other settings than rank 0."""
    first, *others = ranks.hear(told)
    for rank, other in enumerate(others, 1):
        if differ := [key for key in first if other[key] != first[key]]:
            shown = "; ".join(f"{k} is {other[k]}, on rank 0 {first[k]}" for k in differ)
            raise ValueError(
                f"rank {rank} was started otherwise than rank 0: {shown}. "
                "Start every rank with the same settings"
            )


def _rows(row: Tensor, agents: int) -> Tensor:
    return row.expand(agents, -1).clone()


def _fitting(algorithm: Algorithm, problem: Problem, network: Network | None) -> Network:
    """Return the network to use, or say why the given one does not fit."""
    name = type(algorithm).__name__
    if network is None:
        if not algorithm.centralised and problem.agents > 1:
            raise ValueError(
                f"{name} needs a network of {problem.agents} agents, for instance "
                f"Dense(mixing.metropolis(graphs.ring({problem.agents})))"
            )
        average = mixing.average(problem.agents)
        return Dense(average) if here() is ALONE else Peers(average)
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
