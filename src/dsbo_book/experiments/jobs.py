"""Jobs: the runs that make up an experiment, each with the settings it can be told by.

A finished job is one trace file named after it, in the folder of the run. A record holds all of
them in one file, and it is stale as soon as the settings in it differ from those of the code.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from dsbo.algorithms import Algorithm
from dsbo.network import Network, PerLevel
from dsbo.network.peers import over_processes
from dsbo.network.ranks import ALONE, here
from dsbo.problems import Problem
from dsbo.run import Diverged, run
from dsbo.trace import Trace, replacing
from dsbo_book import data
from dsbo_book.experiments.record import SUFFIX, Record, read, write


def _records() -> Path:
    installed, checkout = Path(__file__).parents[1] / "records", Path(__file__).parents[3]
    beside = installed if installed.is_dir() else checkout / "book/records"
    return Path(os.environ.get("DSBO_RECORDS") or beside)


RECORDS = _records()
"""Where the records are: ``$DSBO_RECORDS``, else with the package or in its source checkout. A file
is named after an experiment and its scale."""
Start = tuple[Algorithm, Problem, Network | PerLevel]
loaded = lru_cache(maxsize=1)(data.load)
"""A data set by its name, kept for the next job that asks for it."""


class StaleRecord(ValueError):
    """A record that is missing, incomplete or made with other settings."""


@dataclass(frozen=True)
class Job:
    """One run of an experiment.

    Parameters
    ----------
    name : str
        Stem of its files.
    told : dict
        Every setting that shapes the numbers, as JSON types; the seed among them.
    start : callable
        () -> (algorithm, problem, network); called only if the job has to run.
    steps, record : int
        Iterations, and how often a row is recorded.
    keep : bool
        Also keep the final mean x̄ in ``<name>.safetensors``.
    compile : bool
        Compile the derivatives.
    """

    name: str
    told: dict[str, Any]
    start: Callable[[], Start] = field(compare=False, repr=False)
    steps: int
    record: int
    keep: bool = False
    compile: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that must agree for a trace to be this job's."""
        return {**self.told, "steps": self.steps, "record": self.record}


def run_jobs(
    jobs: Sequence[Job],
    out: str | Path,
    device: str | None = None,
    resume: bool = False,
    progress: bool | None = None,
    command: str | None = None,
) -> list[Trace]:
    """Run the jobs one after another and write each trace into a folder as soon as it is there.

    In a process that has joined others each network becomes `Peers` with the same weights, level
    by level, and rank 0 alone reads and writes files.

    Parameters
    ----------
    jobs : sequence of Job
        What to run.
    out : path
        Folder for the traces, made if it is missing; or a record, ``.npz``, which takes the place
        of the folder ``<out>.runs`` once all jobs are done.
    device : str, optional
        Where to compute.
    resume : bool
        Skip jobs whose trace is already there with the same settings, and go on with a job that
        was stopped from its last checkpoint. What else a record holds stays in it.
    progress : bool, optional
        Show progress bars; by default on a terminal.
    command : str, optional
        The command that regenerates the traces, for their provenance.

    Raises
    ------
    FileExistsError
        If the record is there and is not to be resumed.
    TraceError
        If the record to resume cannot be read.

    Returns
    -------
    list of Trace
        In the order of the jobs. A job that diverged gives the trace up to there, whose
        provenance says ``diverged``.
    """
    out, ranks = Path(out), here()
    folder = out.with_name(f"{out.name}.runs") if out.suffix == SUFFIX else out
    before = ranks.broadcast(partial(_earlier, out, resume)) if folder != out else Record({}, {})
    disable = True if ranks.rank else None if progress is None else not progress
    traces = []
    for job in tqdm(jobs, desc=folder.name, unit="run", disable=disable):
        done = ranks.broadcast(partial(_finished, job, folder, before)) if resume else None
        traces.append(done or _run_one(job, folder, device, resume, progress, command))
    if folder != out and ranks.rank == 0:
        kept = {job.name: _kept(job, folder, before) for job in jobs if job.keep}
        made = {job.name: trace for job, trace in zip(jobs, traces, strict=True)}
        write(out, before.traces | made, before.kept | kept)
        _clear(jobs, folder)
    return traces


def load_record(jobs: Sequence[Job], place: str | Path) -> list[Trace]:
    """Read the traces of the jobs, in their order, from a record or from the folder of a run.

    Raises
    ------
    StaleRecord
        If a trace is missing or was made with other settings; the message says which and how to
        make it anew.
    """
    place = Path(place)
    held = _open(place) if place.suffix == SUFFIX else Record({}, {})
    return [_agreeing(job, place, held) for job in jobs]


def load_kept(job: Job, place: str | Path) -> Tensor:
    """Return the final x̄ ``[d]`` that a job kept, from a record or from the folder of a run."""
    place = Path(place)
    held = _open(place) if place.suffix == SUFFIX else Record({}, {})
    return torch.from_numpy(_kept(job, place, held))


def _kept(job: Job, folder: Path, held: Record) -> NDArray[Any]:
    path = folder / f"{job.name}.safetensors"
    try:
        return load_file(path)["xbar"] if path.is_file() else held.kept[job.name]
    except (KeyError, SafetensorError) as error:
        raise StaleRecord(f"{path} is missing or broken. {_anew(folder)}") from error


def _open(path: Path) -> Record:
    try:
        return read(path)
    except FileNotFoundError:
        from_us = "It comes with the package: install dsbo anew. " if path.parent == RECORDS else ""
        raise StaleRecord(f"{path} is missing. {from_us}{_anew(path)}") from None


def _earlier(path: Path, resume: bool) -> Record:
    """Return what there is of a record."""
    if not path.exists():
        return Record({}, {})
    if not resume or not path.is_file():
        raise FileExistsError(f"{path} is there; resume it, or move it away to make it anew")
    return read(path)


def _clear(jobs: Sequence[Job], folder: Path) -> None:
    """Remove what the jobs wrote, and the folder if nothing else is in it."""
    for job in jobs:
        for suffix in ("csv", "safetensors"):
            (folder / f"{job.name}.{suffix}").unlink(missing_ok=True)
    shutil.rmtree(folder / ".checkpoints", ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _agreeing(job: Job, place: Path, held: Record) -> Trace:
    """Return the trace of a job if its settings are those of the code."""
    path = place / f"{job.name}.csv"
    if path.is_file():
        trace = Trace.load(path)
    elif job.name in held.traces:
        trace = held.traces[job.name]
    else:
        raise StaleRecord(f"{job.name} is missing in {place}. {_anew(place)}")
    was, now = trace.provenance.get("experiment", {}), _plain(job.settings)
    if was != now:
        differ = sorted(k for k in {*was, *now} if was.get(k) != now.get(k))
        told = ", ".join(f"{k} was {was.get(k)!r}, is {now.get(k)!r}" for k in differ)
        raise StaleRecord(f"{job.name} in {place} is stale: {told}. {_anew(place)}")
    return trace


def _anew(place: Path) -> str:
    """Say how to make a record or a run whose name tells what it is of."""
    from dsbo_book.experiments import EXPERIMENTS  # which are made of jobs

    name, _, scale = place.name.partition(".")[0].rpartition("-")
    if name not in EXPERIMENTS or scale not in EXPERIMENTS[name].scales:
        return "Make it anew: dsbo run, with --resume"
    return f"Make it anew: dsbo run {name} --scale {scale} --resume --out {place}"


def _finished(job: Job, folder: Path, before: Record) -> Trace | None:
    try:
        trace = _agreeing(job, folder, before)
        if job.keep:
            _kept(job, folder, before)
        return trace
    except ValueError:
        return None


def _run_one(
    job: Job,
    out: Path,
    device: str | None,
    resume: bool,
    progress: bool | None,
    command: str | None,
) -> Trace:
    algorithm, problem, network = job.start()
    ranks = here()
    if ranks is not ALONE:
        network = over_processes(network)
    checkpoint = out / ".checkpoints" / job.name
    if not resume and ranks.rank == 0:
        shutil.rmtree(checkpoint, ignore_errors=True)
    try:
        trace = run(
            algorithm,
            problem,
            network,
            steps=job.steps,
            seed=job.told["seed"],
            record=job.record,
            device=device,
            progress=progress,
            compile=job.compile,
            checkpoint=checkpoint,
            checkpoint_every=max(100, job.steps // 5),
            resume=resume,
        )
    except Diverged as error:
        trace = error.trace
        trace.provenance["diverged"] = {"step": error.step, "variable": error.variable}
    trace.provenance |= {"experiment": _plain(job.settings), "command": command}
    if ranks.rank:
        return trace
    _save(trace, out / f"{job.name}.csv")
    if job.keep:
        with replacing(out / f"{job.name}.safetensors") as part:
            save_file({"xbar": trace.state.x.mean(0).cpu().numpy()}, part)
    shutil.rmtree(checkpoint, ignore_errors=True)
    return trace


def _save(trace: Trace, path: Path) -> None:
    """Save a trace; where its folder cannot take it, save it elsewhere and say where."""
    try:
        trace.save(path)
    except OSError as error:
        spare = Path(tempfile.mkdtemp(prefix="dsbo-")) / path.name
        trace.save(spare)
        raise OSError(error.errno, f"{error.strerror}. The trace is in {spare}") from error


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings as they come back from a JSON file."""
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain
