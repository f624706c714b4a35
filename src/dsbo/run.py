"""Run an algorithm on a problem over a network, and record what happens."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path

import torch
from tqdm import tqdm

from dsbo import metrics, provenance
from dsbo.algorithms import Algorithm
from dsbo.arguments import agree, fitting, placed, require_bound, require_projection, require_told
from dsbo.callbacks import Callback, Watch
from dsbo.checked import whole
from dsbo.checkpoint import Keeper
from dsbo.diverged import Diverged
from dsbo.going import Going, Measure
from dsbo.network import Network, PerLevel
from dsbo.problems import Problem
from dsbo.projections import Projection
from dsbo.starts import Start, first, warm
from dsbo.trace import Trace
from dsbo.world import Draws

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
    start: Start | None = None,
    project: Projection | None = None,
    callbacks: Sequence[Callback] = (),
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
    start : Trace, State or pair of Tensor, optional
        Where to start instead of at ``problem.x0`` and ``problem.y0``, row by row. Of a trace or a
        State of the method's own kind all variables are taken, of that of another method x and y.
        A pair is x ``[N, d]`` and y ``[N, p]``. What is not taken starts as it always does: a
        previous iterate as x or y, the rest at zero. Iterations, schedules and draws count from 0
        again; another ``seed`` gives other draws. A centralised method needs rows that are equal.
        Of several processes that of rank 0 is taken. The provenance tells its checksum under
        ``warm``.
    project : callable, optional
        Keeps x in a convex set: gives for rows ``[n, d]`` the nearest rows of the set, each by
        itself. Applied to the start and to x after every iteration; `dsbo.projections` has `Box`,
        `Simplex` and `Ball`. For methods that are ``projectable``; others refuse it.
    callbacks : sequence of Callback
        Who is told of every row, every checkpoint and the end, and may end the run early, as
        ``EarlyStop("upper_loss", patience=5)`` does; see `dsbo.callbacks`. The trace is returned as
        ever, and its provenance says why under ``stopped``.

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
        started with other settings, ``start`` is none, the method has no projected step, a
        schedule could not be told again after a restart, or a bound L is so small that its Neumann
        series diverges at the problem's start.
    Exception
        Whatever losses, ``measure`` and callbacks raise passes unchanged; its ``trace`` holds the
        rows so far.
    PeerLost
        If another rank ended or does not answer; says what the last checkpoint is.
    Diverged
        If a variable is not finite any more; carries the trace.
    CheckpointError
        If the checkpoint is damaged or belongs to another run.

    Examples
    --------
    >>> from dsbo import DSOBA, Dense, graphs, mixing
    >>> from dsbo.problems import Quadratic
    >>> problem = Quadratic.random(4, 2, 2, 1.0, seed=0)
    >>> network = Dense(mixing.metropolis(graphs.ring(4)))
    >>> trace = run(DSOBA(0.05, 0.1, 0.1), problem, network, steps=200, every=100)
    >>> [row["step"] for row in trace.rows], trace.state.x.shape
    ([0, 100, 200], torch.Size([4, 2]))
    >>> bool(trace["consensus_x"][-1] < 0.1)
    True
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
    if project is not None:
        require_projection(project, algorithm, problem, checkpoint is not None)
    ranks = network.x.ranks
    watch = Watch(callbacks, ranks)
    identity = provenance.identity(algorithm, problem, network, seed, every)
    given = warm(start, algorithm, problem, ranks)
    identity |= {} if given is None else {"warm": given.told}
    identity |= {} if project is None else {"project": repr(project)}
    asked = {"steps": steps, "checkpoint_every": checkpoint_every, "resume": resume}
    asked |= {"kept": checkpoint is not None, "warm start": start is not None}
    told = {"callbacks": [type(callback).__name__ for callback in callbacks]}
    agree(ranks, {"project": None} | identity | asked | told)
    held = problem.everyone()[network.x.held.start : network.x.held.stop]
    draws = Draws(seed, held, problem.upper, problem.lower)
    with torch.no_grad():
        require_bound(algorithm, problem, draws, ranks, chunk)
    going = Going(
        algorithm, problem, network, draws,
        # which has no name here, as that would keep it in memory to the end
        first(algorithm, problem, network, given, project),
        project, measure, compile, chunk,
    )  # fmt: skip
    going.trace.provenance |= identity | provenance.environment(problem.x0.device)
    going.trace.provenance |= {"steps": steps, **provenance.printed(network)}
    keeper = Keeper(checkpoint, identity, ranks)

    def noted() -> str | None:
        return watch.row(going.trace) if going.note(every, steps) else None

    def kept() -> int | None:
        return keeper.keep(lambda: going.checkpoint(identity))

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
            saved = keeper.find(going.checkpoint(identity), problem.x0.device, steps)
            if saved is not None:
                going.resume(saved, every, steps)
            del saved
        bar.update(going.now.t)
        if "compiling" in going.trace.provenance:
            bar.set_postfix_str(f"compiled in {going.trace.provenance['compiling']:.1f} s")
        try:
            stopped = noted()
            while going.now.t < steps and not stopped:
                algorithm.require_steps(going.now.t)
                going.advance()
                stopped = noted()
                bar.update()
                due = stopped or going.now.t == steps or going.now.t % checkpoint_every == 0
                if due and (step := kept()) is not None:
                    watch.kept(step)
            if stopped and going.now.t < steps:
                going.trace.provenance["stopped"] = stopped
            going.trace.state = going.whole()
            watch.end(going.trace)
        except BaseException as error:
            with suppress(AttributeError):  # whatever ends a run, its trace is there
                error.trace = going.trace  # type: ignore[attr-defined]
            # An error reaches the ranks at different iterations; then the last one kept stands.
            together = isinstance(error, Diverged) or ranks.count == 1
            watch.broken(error, going.trace, kept() if together else None)
            raise
    return going.trace
