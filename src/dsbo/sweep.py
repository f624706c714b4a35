"""Many runs of one method at once: seeds and steps as one more axis of every tensor.

Row ``agent * R + r`` of a variable belongs to run r of R. A step then costs little more than that
of one run where a run is small: derivatives are batched over all rows, a round is one product
with ``[N, R p]``, and Python asks once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from dsbo import keys, metrics, provenance
from dsbo.algorithms import Algorithm
from dsbo.algorithms.base import Momenta
from dsbo.allocator import keep_freed_memory
from dsbo.arguments import fitting, placed, require_bound
from dsbo.checked import whole
from dsbo.compiled import Compiled
from dsbo.going import Measure
from dsbo.network import Network, PerLevel
from dsbo.problems import Problem
from dsbo.run import ROWS
from dsbo.trace import ORACLES, Trace
from dsbo.whole import WholeStep, whole_step
from dsbo.world import Draws, Mixer, World


def sweep(
    runs: Iterable[tuple[Algorithm, int]],
    problem: Problem,
    network: Network | PerLevel | None = None,
    steps: int = 1000,
    every: int | None = None,
    device: torch.device | str | None = None,
    progress: bool | None = None,
    *,
    measure: Measure = metrics.measure,
    compile: bool = False,  # noqa: A002
) -> list[Trace]:
    """Do many runs of one method on one problem at once, and return their traces.

    Each is what `run` gives of the same algorithm and seed, up to rounding. One that diverges
    stops there, the others go on: its provenance says ``diverged``, its state is the last finite.
    The column ``seconds`` shares the time of an iteration out evenly among the runs.
    Nothing is written on the way, nobody watches, x is free, and all start where the problem does;
    `run` has checkpoints, callbacks, projections and other starts. An error of ``measure`` passes,
    and has the ``traces`` so far.

    Parameters
    ----------
    runs : iterable of (Algorithm, int)
        Algorithms that differ in their schedules alone, each with a seed, for instance
        ``itertools.product(algorithms, range(5))``.
    problem, network, steps, every, device, progress, measure, compile
        As in `run`.

    Raises
    ------
    ValueError, TypeError
        If the algorithms differ in more than their schedules, agents are spread over processes, or
        an argument is out of range.

    Examples
    --------
    >>> from dsbo import DSOBA
    >>> from dsbo.problems import Quadratic
    >>> both = [(DSOBA(alpha, 0.1, 0.1), 0) for alpha in (0.01, 0.1)]
    >>> problem = Quadratic.random(1, 2, 2, 1.0, seed=0)
    >>> [len(trace.rows) for trace in sweep(both, problem, steps=5)]
    [6, 6]
    """
    runs = [(algorithm, whole(seed, "seed", least=0)) for algorithm, seed in _pairs(runs)]
    steps = whole(steps, "steps")
    every = max(1, steps // ROWS) if every is None else whole(every, "every")
    for algorithm, _ in runs:
        fitted = fitting(algorithm, problem, network).levels
    swept = Swept(tuple(algorithm for algorithm, _ in runs), problem.agents)
    if fitted.x.ranks.count > 1 or not all(level.batched for level in fitted):
        raise ValueError("a sweep needs all agents in one process: give Dense, Sparse or PushPull")
    first = runs[0][0]
    if problem.g.differences and isinstance(first, Momenta) and not first.full_sum:
        raise ValueError(
            "chains of drawn lengths on first_order() cost each run another number of gradients, "
            "which a sweep cannot tell; take full_sum=True, or run one after another"
        )
    problem = placed(problem, device)
    keep_freed_memory()
    draws = Draws(runs[0][1], problem.everyone(), problem.upper, problem.lower)
    with torch.no_grad():
        require_bound(first, problem, draws, fitted.x.ranks, None)
    going = _Sweep(swept, [seed for _, seed in runs], problem, fitted, every, measure, compile)
    told = provenance.environment(problem.x0.device) | provenance.printed(fitted)
    for trace in going.traces:
        trace.provenance |= told | {"steps": steps}
    name = f"{len(runs)} × {type(runs[0][0]).__name__}"
    disable = None if progress is None else not progress
    bar = tqdm(total=steps, desc=name, unit="step", disable=disable, delay=0.5)
    if isinstance(going.step, WholeStep):
        bar.set_postfix_str(f"compiled in {going.step.seconds:.1f} s")
    try:
        with bar, torch.no_grad():
            going.note()
            while going.t < steps and going.alive:
                swept.require_steps(going.t)
                going.advance()
                if going.t % every == 0 or going.t == steps:
                    going.note()
                bar.update()
    except BaseException as error:
        with suppress(AttributeError):
            error.traces = going.traces  # type: ignore[attr-defined]
        raise
    for r in going.alive:
        going.traces[r].state = going.of(going.state, r)
    return going.traces


@dataclass(frozen=True)
class Swept:
    """Algorithms that differ in their schedules, as one whose steps differ from row to row."""

    algorithms: Sequence[Algorithm]
    agents: int

    def __post_init__(self) -> None:
        if not self.algorithms:
            raise ValueError("there are no runs; give pairs of an algorithm and a seed")
        first, *others = self.algorithms
        for other in others:
            if odd := _differs(first, other):
                raise ValueError(
                    f"runs of a sweep may differ in schedules and seeds, these differ in {odd}: "
                    f"{first} and {other}; sweep each by itself"
                )

    def steps(self, t: int) -> list[tuple[float, ...]]:
        """Return what each schedule says of iteration t, a number for each run."""
        return list(zip(*(algorithm.steps(t) for algorithm in self.algorithms), strict=True))

    def require_steps(self, t: int) -> None:
        """Raise a TypeError or ValueError if a step of a run is none."""
        for algorithm in self.algorithms:
            algorithm.require_steps(t)

    def with_steps(self, values: Sequence[Tensor]) -> Algorithm:
        """Return the method with these tensors ``[R]`` as its steps, a row for each agent's run."""
        rows = [value.repeat(self.agents)[:, None] for value in values]
        return self.algorithms[0].with_steps(rows)

    def step(self, t: int, state: Any, world: World) -> Any:
        """Return the State of iteration t + 1."""
        values = [state.x.new_tensor(rows) for rows in self.steps(t)]
        return self.with_steps(values).step(t, state, world)


def _pairs(runs: Any) -> list[tuple[Algorithm, Any]]:
    """Return what should be pairs, or say what is none."""
    pairs = list(runs) if isinstance(runs, Iterable) else [runs]
    for pair in pairs:
        if not (
            isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], Algorithm)
        ):
            raise TypeError(
                f"runs must be pairs of an algorithm and a seed, as [(DSOBA(…), 0)], got {pair!r}"
            )
    return [(algorithm, seed) for algorithm, seed in pairs]


def _differs(one: Algorithm, other: Algorithm) -> str | None:
    """Return in what two algorithms differ besides their schedules."""
    if type(one) is not type(other):
        return "their class"
    if one.schedules != other.schedules:
        return f"which schedules they have, {one.schedules} and {other.schedules}"
    names = [f.name for f in fields(one) if f.name not in one.schedules]
    return next((n for n in names if getattr(one, n) != getattr(other, n)), None)


@dataclass(frozen=True)
class _Together:
    """A mixer of N agents for N R rows."""

    mixer: Mixer
    agents: int

    def __call__(self, *rows: Tensor, push: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        pulled, pushed = ([row.reshape(self.agents, -1) for row in part] for part in (rows, push))
        mixed = self.mixer(*pulled, push=pushed)
        return tuple(new.view(row.shape) for new, row in zip(mixed, (*rows, *push), strict=True))


class _Sweep:
    """A sweep between two iterations."""

    def __init__(
        self,
        swept: Swept,
        seeds: list[int],
        problem: Problem,
        network: PerLevel,
        every: int,
        measure: Measure,
        compiled: bool,
    ) -> None:
        self.swept, self.problem, self.measure = swept, problem, measure
        self.N, self.R, self.t, self.seconds = problem.agents, len(seeds), 0, 0.0
        self.alive = list(range(self.R))
        told = provenance.identity(swept.algorithms[0], problem, network, seeds[0], every)
        self.traces = [
            Trace(provenance=told | {"algorithm": provenance.settings(a), "seed": seed})
            for a, seed in zip(swept.algorithms, seeds, strict=True)
        ]
        starts = (row.expand(self.N * self.R, -1).clone() for row in (problem.x0, problem.y0))
        self.state = swept.algorithms[0].init(*starts)
        self.sent, self.calls = Counter[str](), Counter[str]()
        self.oracles, self.less = Counter(dict.fromkeys(ORACLES, 0)), [0] * self.R
        agents = problem.everyone().repeat_interleave(self.R)
        self.draws = Draws(tuple(seeds) * self.N, agents, problem.upper, problem.lower)
        mixers = (_Together(m, self.N) for m in network.mixers(problem.x0, self.sent))
        f, g = problem.f.counted(self.calls), problem.g.counted(self.calls)
        self.world = World(f, g, self.draws, *mixers)
        whole = None
        if compiled and not any(level.varies for level in network):
            counters = self.calls, self.sent
            whole = whole_step(swept, self.world, self.state, counters, self.sums)
        self.step = whole or swept.step
        if whole is not None:
            for trace in self.traces:
                trace.provenance["compiling"] = whole.seconds
        if compiled and whole is None:
            f, g = (level.over(Compiled).counted(self.calls) for level in (problem.f, problem.g))
            self.world = self.world._replace(f=f, g=g)

    def sums(self, state: Any) -> Tensor:
        """Return the sum of each variable of each run, finite if all its numbers are."""
        return torch.stack([part.view(self.N, self.R, -1).sum((0, 2)) for part in state])

    def of(self, state: Any, r: int) -> Any:
        """Return the State of one run."""
        parts = (part.view(self.N, self.R, -1)[:, r].clone() for part in state)
        return type(state)(*parts)

    def advance(self) -> None:
        """Do one iteration of all runs."""
        started = time.perf_counter()
        self.calls.clear()
        state = self.step(self.t, self.state, self.world)
        told = self.step.told if isinstance(self.step, WholeStep) else self.sums(state)
        finite = told.isfinite()
        if not bool(finite.all()):  # a sum may overflow where no number does
            finite = self.sums(type(state)(*((~part.isfinite()).float() for part in state))) == 0
        if not bool(finite.all()):
            self._drop(finite, type(state)._fields)
        self._count()
        self.state, self.t = state, self.t + 1
        self.seconds += (time.perf_counter() - started) / self.R

    def note(self) -> None:
        """Append a row to the trace of each run that goes on."""
        shared = {"step": self.t, "seconds": self.seconds}
        sent = {"rounds": self.sent["rounds"], "floats": self.sent["floats"] // self.R}
        for r in self.alive:
            state, algorithm = self.of(self.state, r), self.swept.algorithms[r]
            own = self.oracles | {"hvps": self.oracles["hvps"] - self.less[r]}
            row = shared | own | sent
            row = metrics.row(row, self.measure, algorithm, self.problem, state)
            self.traces[r].rows.append(row)

    def _drop(self, finite: Tensor, names: Sequence[str]) -> None:
        """End the runs that have just diverged."""
        for r in [r for r in self.alive if not bool(finite[:, r].all())]:
            first = int(finite[:, r].int().argmin())
            self.traces[r].provenance["diverged"] = {"step": self.t + 1, "variable": names[first]}
            self.traces[r].state = self.of(self.state, r)
            self.alive.remove(r)

    def _count(self) -> None:
        """Count the oracle calls of the iteration; a run's own chains may be shorter than all."""
        self.oracles.update(self.calls)
        first, all_ = self.swept.algorithms[0], self.calls["hvps"]
        if all_ and isinstance(first, Momenta) and not first.full_sum:
            lengths = self.draws.numbers(self.t, keys.CHAIN, first.K)[0].view(self.N, self.R)
            longest = lengths.amax(0).tolist()
            for r, k in enumerate(longest):
                self.less[r] += all_ - all_ * k // max(longest)
