"""Become one of several processes, or start them.

    torchrun --nproc-per-node 4 script.py         the script calls join()
    spawn(partial(run, …), processes=4)           from Python, on this machine

Processes meet as torch.distributed's do, by the variables that torchrun sets. The store that they
meet in listens on every interface of the machine that opens it, and torch gives no way to bind it:
where others can reach that port, close it by a firewall. What `spawn` starts meets in a file, and
listens on the loopback interface alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed import FileStore, PrefixStore, rendezvous  # type: ignore[attr-defined]

from dsbo.checked import whole
from dsbo.network.ranks import ALONE, Ranks, here, joined
from dsbo.network.watch import LISTEN, LONGEST_INTERVAL, PeerLost, Watch, require_timeout

T = TypeVar("T")
TIMEOUT = 120.0
"""Seconds without a message after which a rank counts as lost, unless told otherwise."""


@contextlib.contextmanager
def join(timeout: float = TIMEOUT, device: str = "cpu") -> Iterator[Ranks]:
    """Be one of the processes that torchrun started, as long as the context lasts.

    Parameters
    ----------
    timeout : float
        Seconds that the ranks wait for each other at the start, and for a message later on.
    device : str
        ``cuda`` talks over nccl, each rank from the GPU of its local number; else over gloo.

    Raises
    ------
    ValueError
        If this process was not started by torchrun, there is no GPU for it, or the timeout is not
        above 0.
    RuntimeError
        If this process has joined others already.
    ConnectionError
        If the ranks do not meet.
    PeerLost
        If a rank ends early.
    """
    if here() is not ALONE:
        raise RuntimeError("this process has joined others already; leave that `join` first")
    patience = timedelta(seconds=require_timeout(timeout))
    try:
        store, rank, count = next(rendezvous("env://", timeout=patience))
    except ValueError as error:
        raise ValueError(
            f"{error}. This is {_told()}. Start with: torchrun --nproc-per-node P …"
        ) from error
    except RuntimeError as error:
        raise _not_met(error, timeout) from error
    # Under torchrun its own process holds the store, else rank 0 does.
    keeper = None if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" else 0
    # Ranks that torchrun starts anew meet in the store that still has the addresses of before.
    store = PrefixStore(f"dsbo/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    with _group(store, rank, count, timeout, _place(rank, device), keeper) as ranks:
        yield ranks


@contextlib.contextmanager
def _group(
    store: Any, rank: int, count: int, timeout: float, place: torch.device, keeper: int | None
) -> Iterator[Ranks]:
    """Be a rank of the group that meets in a store."""
    watch = Watch(PrefixStore("watch", store.clone()), rank, count, timeout, keeper)
    threads = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # as torchrun does: with more threads a sum has other bits
    try:
        try:
            dist.init_process_group(
                "nccl" if place.type == "cuda" else "gloo",
                store=store,
                rank=rank,
                world_size=count,
                timeout=timedelta(seconds=timeout),
                device_id=place if place.type == "cuda" else None,
            )
        except RuntimeError as error:
            raise _not_met(error, timeout) from error
        with joined(Ranks(rank, count, watch, place)) as ranks, _ending_by_signal(watch):
            ranks.maximum(0)  # nobody leaves while another still connects
            yield ranks
            ranks.maximum(0)  # nobody leaves while another still waits for a message
    except BaseException as error:
        watch.leave(error)
        if rank == keeper:  # the others want to read that note
            time.sleep(2 * LISTEN * watch.interval)
        raise
    finally:
        watch.close()
        torch.set_num_threads(threads)
        if dist.is_initialized():
            dist.destroy_process_group()


def _not_met(error: Exception, timeout: float) -> ConnectionError:
    address = os.environ.get("MASTER_ADDR")  # which ranks do without that `spawn` started
    why = (address and _no_way(address)) or str(error).splitlines()[0]
    return ConnectionError(
        f"the ranks did not meet within {timeout:g} s: {why}. This is "
        f"{_told()}; start as many processes as WORLD_SIZE says, each with a RANK of its own and "
        "all with the same address and a free port"
    )


def _no_way(address: str) -> str:
    """Say why this machine cannot reach an address; nothing if it may."""
    try:
        places = socket.getaddrinfo(address, 9, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        return f"MASTER_ADDR is no address that is known here ({error}); ::1 goes without brackets"
    why = ""
    for family, kind, _, _, place in places:
        try:
            with socket.socket(family, kind) as way:
                way.connect(place)  # of a datagram socket, which sends nothing
            return ""
        except OSError as error:
            why = f"this machine has no way to {place[0]} ({error.strerror})"
    return why


def _told() -> dict[str, str | None]:
    """Return what this process was told of the others."""
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    return {name: os.environ.get(name) for name in names}


def _place(rank: int, wanted: str) -> torch.device:
    """Return where this process computes and what its messages are sent from."""
    if not wanted.startswith("cuda"):
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", rank))
    if local >= torch.cuda.device_count():
        raise ValueError(
            f"rank {rank} is process {local} of a machine with {torch.cuda.device_count()} GPUs; "
            "nccl needs a GPU for each process"
        )
    return torch.device("cuda", local)


@contextlib.contextmanager
def _ending_by_signal(watch: Watch) -> Iterator[None]:
    """Turn the signal by which torchrun ends the ranks of a failed one into an error."""
    if not dist.is_torchelastic_launched():
        yield
        return

    def end(*_: Any) -> None:
        if watch.listening:
            return  # this rank knows already, and is about to say who was lost
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise PeerLost(
            None, "torchrun ended this rank, as it does when another one failed or it is told to"
        )

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def spawn(job: Callable[[], T], processes: int, timeout: float = TIMEOUT) -> list[T]:
    """Run ``job()`` in several new processes of this machine and return their results, by rank.

    Parameters
    ----------
    job : callable
        Picklable, as ``functools.partial(run, …)`` is; each process calls it as a rank. A script
        that calls `spawn` does so under ``if __name__ == "__main__":``.
    processes : int
        How many.
    timeout : float
        See `join`.

    Raises
    ------
    TypeError, ValueError
        If there can be no such number of processes, or no such timeout.
    PeerLost
        If a process was killed or hung; the others are ended.
    Exception
        What a job raised.
    """
    processes = whole(processes, "processes")
    require_timeout(timeout)
    packed = pickle.dumps(job)
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else None)
    context.set_forkserver_preload(["dsbo"])
    children: list[tuple[BaseProcess, Connection]] = []
    with tempfile.TemporaryDirectory(prefix="dsbo-") as folder:
        meeting = str(Path(folder) / "meeting")
        try:
            for rank in range(processes):
                here, there = context.Pipe(duplex=False)
                told = (meeting, rank, processes, packed, timeout, there)
                child = context.Process(target=_work, args=told, daemon=True)
                child.start()
                there.close()
                children.append((child, here))
            return _results(children, timeout)
        finally:
            for child, pipe in children:
                child.kill()
                child.join()
                pipe.close()


def _work(
    meeting: str, rank: int, count: int, packed: bytes, timeout: float, pipe: Connection
) -> None:
    """Do the job in a new process, which nothing else uses, and send what came of it."""
    outcome: tuple[Any, BaseException | None]
    loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    os.environ["GLOO_SOCKET_IFNAME"] = ",".join(loopback)
    try:
        store = FileStore(meeting, count)
        with _group(store, rank, count, timeout, torch.device("cpu"), None):
            # Within the group, so that what is unpacked knows the rank that it belongs to.
            outcome = pickle.loads(packed)(), None
    except Exception as error:
        outcome = None, error
    except BaseException as error:  # such as sys.exit(), which would end who called spawn, too
        outcome = None, RuntimeError(f"the job of rank {rank} ended with {error!r}")
    try:
        sent = pickle.dumps(outcome)
        pickle.loads(sent)
    except Exception:
        what = outcome[1] or TypeError("the result cannot be pickled")
        sent = pickle.dumps((None, RuntimeError(f"{type(what).__name__}: {what}")))
    pipe.send_bytes(sent)


def _results(children: list[tuple[BaseProcess, Connection]], timeout: float) -> list[Any]:
    values: dict[int, Any] = {}
    errors: dict[int, BaseException] = {}
    patience: float | None = None  # without an error a job may take as long as it wants
    while pending := {p: r for r, (_, p) in enumerate(children) if r not in {*values, *errors}}:
        ready = wait(list(pending), patience)
        for pipe in ready or pending:
            rank = pending[pipe]  # type: ignore[index]
            value, error = _outcome(rank, *children[rank]) if ready else (None, _hung(rank))
            if error is None:
                values[rank] = value
                continue
            errors[rank] = error
            patience = timeout + 2 * LISTEN * LONGEST_INTERVAL
            if isinstance(error, PeerLost) and error.rank is not None:
                children[error.rank][0].kill()
    if errors:
        # Of errors that tell as much that of the lowest rank, for rank 0 knows of all agents.
        raise min((errors[rank] for rank in sorted(errors)), key=_telling)
    return [values[rank] for rank in range(len(children))]


def _outcome(rank: int, child: BaseProcess, pipe: Connection) -> tuple[Any, BaseException | None]:
    try:
        received: tuple[Any, BaseException | None] = pickle.loads(pipe.recv_bytes())
    except EOFError:
        child.join()
        code = child.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return None, PeerLost(rank, f"its process ended by {how}")
    return received


def _hung(rank: int) -> PeerLost:
    return PeerLost(rank, "it did not end when the others did")


def _telling(error: BaseException) -> int:
    """Rank errors: first what a job raised, then a loss that tells of a checkpoint."""
    return 0 if not isinstance(error, PeerLost) else 1 if error.kept else 2
