"""Run an algorithm on a problem over a network, and record what happens."""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from dsbo import metrics, provenance
from dsbo.algorithms import Algorithm
from dsbo.allocator import keep_freed_memory
from dsbo.arguments import agree, fitting, lowest_curvature, placed, require_bound, require_told
from dsbo.checked import whole
from dsbo.checkpoint import Checkpoint, Keeper
from dsbo.chunked import Chunked
from dsbo.compiled import Compiled
from dsbo.diverged import Diverged
from dsbo.network import Network, PerLevel
from dsbo.network.watch import lagging
from dsbo.problems import Problem
from dsbo.tally import Tally
from dsbo.trace import ORACLES, Trace
from dsbo.whole import WholeStep, whole_step
from dsbo.world import Draws, World

Measure = Callable[[Algorithm, Problem, Any], dict[str, float]]
ROWS = 100
"""Rows that a run records unless told otherwise."""


def run(
    algorithm: Algorithm,
    problem: Problem,
    network: Network | PerLevel | None = None,
    steps: int = 1000,
    seed: int = 0,
    every: int | None = None,
    device: torch.device | str | None = None,
    progress: bool | None = None,
    *,
    measure: Measure = metrics.measure,
    compile: bool = False,  # noqa: A002
    chunk: int | None = None,
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
    network : Network or PerLevel, optional
        Over which weights. A centralised algorithm, or a problem with one agent, needs none.
    steps : int
        Iterations.
    seed : int
        Seed of all draws, 0 or larger.
    every : int, optional
        Record a row after so many iterations, and after the last; by default a hundred rows.
    device : torch.device or str, optional
        Where to compute; by default where the problem is.
    progress : bool, optional
        Show a progress bar; by default where somebody looks at a terminal.
    measure : callable
        (algorithm, problem, state) -> dict of numbers for a row.
    compile : bool
        Compile a whole iteration into one graph, or where its Python looks at values, its
        derivatives. Takes seconds, which the trace's provenance tells; the chapter `speed` says how
        many iterations pay for them.
    chunk : int, optional
        Compute the derivatives of so many agents at a time instead of all at once: slower, but
        what the losses make on their way is then in memory for these agents alone. Methods that
        ask for several products at one point, such as SPARKLE, keep it for all agents.
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
        If arguments are out of range, the network does not fit the problem, another rank was
        started with other settings, a schedule could not be told again after a restart, or a bound
        L is so small that its Neumann series diverges at the start.
    Exception
        Whatever losses and ``measure`` raise passes unchanged; its ``trace`` holds the rows so far.
    PeerLost
        If another rank ended or does not answer; says what the last checkpoint is.
    Diverged
        If a variable is not finite any more; carries the trace.
    CheckpointError
        If the checkpoint is damaged or belongs to another run.
    """
    steps = whole(steps, "steps")
    every = max(1, steps // ROWS) if every is None else whole(every, "every")
    checkpoint_every = whole(checkpoint_every, "checkpoint_every")
    seed = whole(seed, "seed", least=0)
    chunk = None if chunk is None else whole(chunk, "chunk")
    if resume and checkpoint is None:
        raise ValueError("resume needs the folder of the checkpoint: pass checkpoint=…")
    network = fitting(algorithm, problem, network).levels
    if checkpoint is not None:
        if not isinstance(checkpoint, str | PathLike):
            raise TypeError(f"checkpoint must be the path of a folder, got {checkpoint!r}")
        require_told(algorithm)
    problem = placed(problem, device)
    ranks = network.x.ranks
    identity = provenance.identity(algorithm, problem, network, seed, every)
    keeping = {"steps": steps, "checkpoint_every": checkpoint_every, "kept": checkpoint is not None}
    agree(ranks, identity | keeping | {"resume": resume})
    held = problem.everyone()[network.x.held.start : network.x.held.stop]
    draws = Draws(seed, held, problem.upper, problem.lower)
    with torch.no_grad():
        require_bound(algorithm, problem, draws, ranks, chunk)
    going = _Run(algorithm, problem, network, draws, measure, compile, chunk)
    going.trace.provenance |= identity | provenance.environment(problem.x0.device)
    going.trace.provenance |= {"steps": steps, **provenance.printed(network)}
    keeper = Keeper(checkpoint, identity, ranks)
    bar = tqdm(
        total=steps,
        desc=type(algorithm).__name__,
        unit="step",
        disable=True if ranks.rank else None if progress is None else not progress,
        delay=0.5,
    )
    # Derivatives make the graphs they need; one that the State kept would grow for ever.
    with bar, keeper.telling_what_is_kept(), torch.no_grad():
        if resume:
            start = going.checkpoint(identity)
            if (saved := keeper.find(start, problem.x0.device, steps)) is not None:
                going.resume(saved, every, steps)
        bar.update(going.now.t)
        if "compiling" in going.trace.provenance:
            bar.set_postfix_str(f"compiled in {going.trace.provenance['compiling']:.1f} s")
        try:
            going.note(every, steps)
            while going.now.t < steps:
                algorithm.require_steps(going.now.t)
                going.advance()
                going.note(every, steps)
                bar.update()
                if going.now.t == steps or going.now.t % checkpoint_every == 0:
                    keeper.keep(lambda: going.checkpoint(identity))
        except BaseException as error:
            with suppress(AttributeError):  # whatever ends a run, its trace is there
                error.trace = going.trace  # type: ignore[attr-defined]
            # An error reaches the ranks at different iterations; then the last one kept stands.
            if isinstance(error, Diverged) or ranks.count == 1:
                keeper.keep(lambda: going.checkpoint(identity))
            raise
        going.trace.state = going.whole()
    return going.trace


class _Run:
    """A run, as one process sees it."""

    def __init__(
        self,
        algorithm: Algorithm,
        problem: Problem,
        network: PerLevel,
        draws: Draws,
        measure: Measure,
        compiled: bool,
        chunk: int | None,
    ) -> None:
        keep_freed_memory()
        self.algorithm, self.problem, self.measure = algorithm, problem, measure
        self.ranks, held = network.x.ranks, network.x.held
        self.trace, self.slow, self.chunk = Trace(), set[int](), chunk
        # The same bits on any number of processes are promised on the CPU alone.
        if not (all(part.batched for part in network) or problem.x0.is_cuda):
            chunk = 1
        starts = (row.expand(len(held), -1).clone() for row in (problem.x0, problem.y0))
        self.now = Tally.start(algorithm.init(*starts))
        # What mixers and levels add to; an iteration that ends is counted from these.
        self.sent, self.calls = Counter(self.now.sent), Counter[str]()
        f, g = problem.f.counted(self.calls), problem.g.counted(self.calls)
        self.world = World(f, g, draws, *network.mixers(problem.x0, self.sent))
        self.now = self.now._replace(sent=dict(self.sent))  # with the clocks of the mixers
        whole = None
        self.step: Callable[[int, Any, World], Any] = algorithm.step
        if compiled and not (chunk or self.ranks.count > 1 or any(p.varies for p in network)):
            counters = self.calls, self.sent
            whole = whole_step(algorithm, self.world, self.now.state, counters, _sums)
        if whole is not None:
            self.step = whole
            self.trace.provenance["compiling"] = whole.seconds
        elif compiled:
            f, g = (level.over(Compiled).counted(self.calls) for level in (problem.f, problem.g))
        if chunk is not None:
            f, g = Chunked.of(f, chunk), Chunked.of(g, chunk)
        self.world = self.world._replace(f=f, g=g)

    def advance(self) -> None:
        """Do one iteration."""
        started, waited = time.perf_counter(), self.ranks.waited
        self.calls.clear()
        state = self.step(self.now.t, self.now.state, self.world)
        told = self.step.told if isinstance(self.step, WholeStep) else _sums(state)
        finite = [math.isfinite(value) for value in told.tolist()]
        if not all(finite):  # a sum may overflow where no number does
            finite = [bool(part.isfinite().all()) for part in state]
        busy = time.perf_counter() - started - (self.ranks.waited - waited)
        # The first that is not finite on any rank is the farthest from the end.
        bad = self.ranks.maximum(0 if all(finite) else len(finite) - finite.index(False))
        if bad:
            self.trace.state = self.whole()
            shared = self.algorithm.shared_lower
            known = self.problem, self.world.draw, shared, self.ranks, self.chunk
            low, name = lowest_curvature(*known), state._fields[-bad]
            raise Diverged(self.algorithm, self.now.t + 1, name, self.trace, low)
        self.now = self.now.after(state, self.sent, self.calls, time.perf_counter() - started, busy)

    def whole(self) -> Any:
        """Return the State of all agents on rank 0, elsewhere that of the agents held there."""
        state = self.now.state
        return type(state)(*(self.ranks.gather_rows(part, self.problem.agents) for part in state))

    def note(self, every: int, steps: int) -> None:
        """Append a row, the same on every rank, if one is due and not there."""
        t, rows = self.now.t, self.trace.rows
        if (t % every and t != steps) or (rows and rows[-1]["step"] == t):
            return
        self._settle()
        row, state = self.now.row, self.whole()

        def measured() -> dict[str, Any]:
            return metrics.row(row, self.measure, self.algorithm, self.problem, state)

        rows.append(self.ranks.broadcast(measured))

    def checkpoint(self, identity: dict[str, Any]) -> Checkpoint:
        """Return all that the run needs to go on."""
        self._settle()
        now, tensors = self.now, self.whole()._asdict()
        counts = {**now.oracles, **now.sent}
        return Checkpoint(now.t, tensors, self.trace.rows, counts, now.seconds, identity)

    def resume(self, saved: Checkpoint, every: int, steps: int) -> None:
        """Go on from a checkpoint of the same run."""
        # A row that only marks the end of a shorter run is not one of this run's.
        own = {steps} | {*range(0, saved.step + 1, every)}
        self.trace.rows = [row for row in saved.rows if row["step"] in own]
        parts = (
            self.ranks.scatter_rows(saved.tensors.get(name), part, self.problem.agents)
            for name, part in self.now.state._asdict().items()
        )
        oracles = {kind: saved.counts[kind] for kind in ORACLES}
        self.sent.update({k: n for k, n in saved.counts.items() if k not in oracles})
        state = type(self.now.state)(*parts)
        t, sent = saved.step, dict(self.sent)
        self.now = Tally(t, state, sent, oracles, [], since=t, seconds=saved.seconds)

    def _settle(self) -> None:
        """Count the oracle calls since the last time, and warn of a rank that is slow."""
        told = self.ranks.gather((self.now.calls, self.now.busy))
        self.now = self.now.settled([calls for calls, _ in told])
        for rank, seconds, usual in lagging([busy for _, busy in told]):
            if self.ranks.rank == 0 and rank not in self.slow:
                self.slow.add(rank)
                warnings.warn(
                    f"rank {rank} is slow: since the last row it computed for {seconds:.1f} s, "
                    f"the others for {usual:.1f} s. All wait for it; look at its machine",
                    stacklevel=5,
                )


def _sums(state: Any) -> Tensor:
    """Return the sum of each variable, which is finite if all its numbers are."""
    return torch.stack([part.sum() for part in state])
