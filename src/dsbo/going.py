"""A run that is going: its iterations, the rows that they make, and where it can stop and go on."""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dsbo import metrics
from dsbo.algorithms import Algorithm
from dsbo.allocator import keep_freed_memory
from dsbo.arguments import beyond_bound, lowest_curvature
from dsbo.checkpoint import Checkpoint
from dsbo.chunked import Chunked
from dsbo.compiled import Compiled
from dsbo.diverged import Diverged
from dsbo.network import PerLevel
from dsbo.network.watch import lagging
from dsbo.problems import Problem
from dsbo.projections import Projection
from dsbo.tally import Tally
from dsbo.trace import ORACLES, Trace
from dsbo.whole import WholeStep, whole_step
from dsbo.world import Draws, World

Measure = Callable[[Algorithm, Problem, Any], dict[str, float]]


class Going:
    """A run, as one process sees it."""

    def __init__(
        self,
        algorithm: Algorithm,
        problem: Problem,
        network: PerLevel,
        draws: Draws,
        state: Any,
        project: Projection | None,
        measure: Measure,
        compiled: bool,
        chunk: int | None,
    ) -> None:
        keep_freed_memory()
        self.algorithm, self.problem, self.measure = algorithm, problem, measure
        self.ranks = network.x.ranks
        self.trace, self.slow, self.chunk, self.project = Trace(), set[int](), chunk, project
        self.beyond = ""
        # The same bits on any number of processes are promised on the CPU alone.
        if not (all(part.batched for part in network) or problem.x0.is_cuda):
            chunk = 1
        self.now = Tally.start(state)
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
        if self.project is not None:
            state = state._replace(x=self.project(state.x))
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

    def note(self, every: int, steps: int) -> bool:
        """Append a row, the same on every rank, if one is due and not there; say whether it was."""
        t, rows = self.now.t, self.trace.rows
        if (t % every and t != steps) or (rows and rows[-1]["step"] == t):
            return False
        self._settle()
        row, state = self.now.row, self.whole()

        def measured() -> dict[str, Any]:
            return metrics.row(row, self.measure, self.algorithm, self.problem, state)

        rows.append(self.ranks.broadcast(measured))
        if len(rows) > 1 and len(rows) & (len(rows) - 1) == 0:  # seldom, for it takes products
            self._look()
        return True

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

    def _look(self) -> None:
        """Warn once if the Neumann series diverges where the run has come, its L is so small."""
        if self.beyond:
            return
        known = self.algorithm, self.problem, self.world.draw, self.ranks, self.chunk
        self.beyond = beyond_bound(*known, self.now.t, (self.now.state.x, self.now.state.y))
        if self.beyond and self.ranks.rank == 0:
            warnings.warn(self.beyond, stacklevel=5)

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
