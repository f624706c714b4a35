"""Run the cells of a study, and store each trace as soon as it is there."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dsbo.checkpoint import CheckpointError, write_sealed
from dsbo.diverged import Diverged
from dsbo.network.peers import over_processes
from dsbo.network.ranks import ALONE, here
from dsbo.problems import Problem
from dsbo.run import run
from dsbo.sweep import sweep
from dsbo.trace import Trace, require_writable
from dsbo_book.experiments.record import SUFFIX, Record, read, write
from dsbo_book.experiments.stored import Store
from dsbo_book.experiments.study import Cell, Start, Study, identity, stem

__all__ = ["run_study"]

Job = tuple[Cell, Start]
NUMBERS = 2**20
"""Of the State of all runs of a sweep, at most; beyond, one run alone keeps the machine busy."""


def run_study(
    study: Study,
    out: str | Path,
    device: str | None = None,
    resume: bool = False,
    progress: bool | None = None,
    command: str | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Trace]:
    """Run the cells of a study and write each trace as soon as it is there.

    Cells of small problems that differ in steps and seeds alone are swept, the others run one
    after another.

    In a process that has joined others each network becomes `Peers` with the same weights, level
    by level, and rank 0 alone reads and writes files.

    Parameters
    ----------
    study : Study
        What to run.
    out : path
        Folder for the traces, made if it is missing; or a record, ``.npz``, which takes the place
        of the folder ``<out>.runs`` once all runs are done.
    device : str, optional
        Where to compute.
    resume : bool
        Skip cells whose trace is already there, whole and of the same settings, and go on with a
        run that was stopped from its last checkpoint. What else a record holds stays in it.
    progress : bool, optional
        Show progress bars; by default on a terminal.
    command : str, optional
        The command that regenerates the traces, for their provenance.
    say : callable, optional
        Called with a line for each run that is done, where no bar can be shown.

    Raises
    ------
    FileExistsError
        If the record, or a run of the study in the folder, is there and is not to be resumed.
    OSError
        If nothing can be written there; before the first run.
    TraceError
        If the record to resume cannot be read.

    Returns
    -------
    list of Trace
        In the order of the cells. A run that diverged gives the trace up to there, whose
        provenance says ``diverged``.
    """
    out, ranks = Path(out), here()
    folder = out.with_name(f"{out.name}.runs") if out.suffix == SUFFIX else out
    before = ranks.broadcast(partial(_begin, study, out, folder, resume))
    options = {"device": device, "progress": progress, "resume": resume}
    disable = True if ranks.rank else None if progress is None else not progress
    traces, left = dict[str, Trace](), list[Job]()
    with tqdm(total=len(study.cells), desc=folder.name, unit="run", disable=disable) as bar:
        for cell in study.cells:
            start = study.start(cell)
            done = ranks.broadcast(partial(_finished, before, cell, start)) if resume else None
            if done:
                traces[stem(cell)] = done
                bar.update()
            else:
                left.append((cell, start))
        for cell, start, trace in _made(left, folder, options):
            _store(trace, cell, start, folder, command)
            traces[stem(cell)] = trace
            bar.update()
            if say and bar.disable and not ranks.rank:
                say(f"{len(traces)} of {len(study.cells)}: {folder.name}/{stem(cell)}")
    if folder != out and ranks.rank == 0:
        names = [stem(cell) for cell in study.cells]
        kept = {stem(cell): before.xbar(cell) for cell in study.cells if study.start(cell).keep}
        write(out, before.record.traces | traces, before.record.kept | kept)
        _clear(names, folder)
    return [traces[stem(cell)] for cell in study.cells]


def _begin(study: Study, out: Path, folder: Path, resume: bool) -> Store:
    """Return what is there already, if runs may be added to it."""
    record = out != folder
    if record:
        require_writable(out)
        if out.exists() and not resume:
            raise FileExistsError(f"{out} is there; resume it, or move it away to make it anew")
    paths = [folder / f"{stem(cell)}.csv" for cell in study.cells]
    for path in paths:
        require_writable(path)
    there = sum(path.exists() for path in paths)
    if there and not resume:
        raise FileExistsError(
            f"{folder} holds {there} of these {len(paths)} runs already; "
            "keep them with --resume, or give another --out"
        )
    return Store(folder, read(out) if record and out.exists() else Record({}, {}))


def _finished(before: Store, cell: Cell, start: Start) -> Trace | None:
    try:
        trace = before.trace(cell, start)
        if start.keep:
            before.xbar(cell)
        return trace
    except ValueError:
        return None


def _made(
    left: Iterable[Job], folder: Path, options: dict[str, Any]
) -> Iterator[tuple[Cell, Start, Trace]]:
    """Make the runs that are left, those of small problems that are alike in sweeps.

    A run that was stopped has a checkpoint to go on from, and goes on alone.
    """
    alike: dict[str, list[Job]] = {}
    for cell, start in left:
        alone = here() is not ALONE or (folder / ".checkpoints" / stem(cell)).exists()
        key = stem(cell) if alone else _shared(start)
        alike.setdefault(key, []).append((cell, start))
    for jobs in alike.values():
        problem = jobs[0][1].problem()
        most = max(1, NUMBERS // (problem.agents * (problem.d + 2 * problem.p)))
        for some in (jobs[at : at + most] for at in range(0, len(jobs), most)):
            if len(some) > 1:
                traces = _sweep(some, problem, options)
            else:
                traces = [_run_one(*some[0], problem, folder, options)]
            for (cell, start), trace in zip(some, traces, strict=True):
                yield cell, start, trace


def _shared(start: Start) -> str:
    """Return all that the runs of a sweep have in common."""
    method = start.algorithm
    fixed = {f.name: getattr(method, f.name) for f in fields(method)}
    fixed = {name: value for name, value in fixed.items() if name not in method.schedules}
    told = identity(start) | {"algorithm": [type(method).__name__, repr(fixed), method.schedules]}
    return json.dumps([told, start.compile, start.keep], sort_keys=True)


def _sweep(jobs: list[Job], problem: Problem, options: dict[str, Any]) -> list[Trace]:
    """Make the runs of some jobs at once."""
    start = jobs[0][1]
    return sweep(
        [(own.algorithm, cell["seed"]) for cell, own in jobs],
        problem,
        start.network,
        steps=start.steps,
        every=start.every,
        compile=start.compile,
        device=options["device"],
        progress=options["progress"],
    )


def _run_one(
    cell: Cell, start: Start, problem: Problem, folder: Path, options: dict[str, Any]
) -> Trace:
    """Make one run."""
    ranks, name = here(), stem(cell)
    checkpoint = folder / ".checkpoints" / name
    if not options["resume"] and ranks.rank == 0:
        shutil.rmtree(checkpoint, ignore_errors=True)
    again = partial(
        run,
        start.algorithm,
        problem,
        start.network if ranks is ALONE else over_processes(start.network),
        steps=start.steps,
        seed=cell["seed"],
        every=start.every,
        compile=start.compile,
        checkpoint=checkpoint,
        checkpoint_every=max(100, start.steps // 5),
    )
    try:
        try:
            trace = again(**options)
        except CheckpointError as error:  # as stale as a trace would be
            warnings.warn(f"{name} starts anew: {error}", stacklevel=2)
            trace = again(**options | {"resume": False})
    except Diverged as error:
        trace = error.trace
        trace.provenance["diverged"] = {"step": error.step, "variable": error.variable}
    return trace


def _store(trace: Trace, cell: Cell, start: Start, folder: Path, command: str | None) -> None:
    """Say in a trace what made it and write it; of several processes rank 0 does."""
    trace.provenance |= {"cell": cell, "identity": identity(start), "command": command}
    if here().rank:
        return
    name = stem(cell)
    _save(trace, folder / f"{name}.csv")
    if start.keep:
        write_sealed(folder / f"{name}.safetensors", {"xbar": trace.state.x.mean(0)})
    shutil.rmtree(folder / ".checkpoints" / name, ignore_errors=True)


def _save(trace: Trace, path: Path) -> None:
    """Save a trace; where its folder cannot take it, save it elsewhere and say where."""
    try:
        trace.save(path)
    except OSError as error:
        spare = Path(tempfile.mkdtemp(prefix="dsbo-")) / path.name
        trace.save(spare)
        raise OSError(error.errno, f"{error.strerror}. The trace is in {spare}") from error


def _clear(names: list[str], folder: Path) -> None:
    """Remove what the runs wrote, and the folder if nothing else is in it."""
    for name in names:
        for suffix in ("csv", "safetensors"):
            (folder / f"{name}.{suffix}").unlink(missing_ok=True)
    shutil.rmtree(folder / ".checkpoints", ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
