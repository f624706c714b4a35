"""Become one of several processes, or start them.

    torchrun --nproc-per-node 4 script.py         the script calls join()
    spawn(partial(run, …), processes=4)           from Python, on this machine

Everything binds to the loopback interface unless ``MASTER_ADDR`` is another address; then the
ranks bind to the interface that leads there.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from dsbo.network.ranks import PeerLost, Ranks, joined
from dsbo.network.seat import LOOPBACK, Seat
from dsbo.network.watch import LISTEN, LONGEST_INTERVAL, Watch

T = TypeVar("T")
TIMEOUT = 120.0
"""Seconds without a message after which a rank counts as lost, unless told otherwise."""


@contextlib.contextmanager
def join(
    seat: Seat | None = None, timeout: float = TIMEOUT, device: str = "cpu"
) -> Iterator[Ranks]:
    """Be one of the processes of a run, as long as the context lasts.

    Parameters
    ----------
    seat : Seat, optional
        By default what torchrun put into the environment.
    timeout : float
        Seconds that the ranks wait for each other at the start, and for a message later on.
    device : str
        ``cuda`` talks over nccl, each rank from the GPU of its local number; else over gloo.

    Raises
    ------
    ValueError
        If the seat is taken, the ranks were told different counts, or there is no GPU for it.
    TimeoutError
        If a rank does not come.
    OSError
        If the port is in use, nobody answers there, or rank 0 ends before all have come.
    PeerLost
        If a rank ends early.
    """
    seat = Seat.from_environment() if seat is None else seat
    place = seat.device(device)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # as torchrun does: with more threads a sum has other bits
    if "GLOO_SOCKET_IFNAME" not in os.environ and (name := seat.interface()):
        os.environ["GLOO_SOCKET_IFNAME"] = name
    store = PrefixStore(f"dsbo/{seat.attempt}", _connect(seat, timeout, hosts=seat.hosts))
    _meet(seat, store, timeout)
    signs = PrefixStore(f"dsbo/{seat.attempt}", _connect(seat, min(timeout, 5.0)))
    watch = Watch(signs, seat.rank, seat.size, timeout, None if seat.hosted else 0)
    try:
        dist.init_process_group(
            "nccl" if place.type == "cuda" else "gloo",
            store=store,
            rank=seat.rank,
            world_size=seat.size,
            timeout=timedelta(seconds=timeout),
            device_id=place if place.type == "cuda" else None,
        )
        with joined(Ranks(seat.rank, seat.size, watch, place)) as ranks, _heeding(watch):
            yield ranks
            ranks.most(0)  # nobody leaves while another still waits for a message
    except BaseException as error:
        watch.leave(error)
        if seat.hosts:  # the others want to read that note
            time.sleep(2 * LISTEN * watch.interval)
        raise
    finally:
        watch.close()
        if dist.is_initialized():
            dist.destroy_process_group()


def _connect(seat: Seat, timeout: float, hosts: bool = False) -> TCPStore:
    options: dict[str, Any] = {"timeout": timedelta(seconds=timeout), "wait_for_workers": False}
    if hosts:
        # The store itself would listen on every interface.
        listening = seat.listen().detach()
        return TCPStore(
            seat.address, seat.port, is_master=True, master_listen_fd=listening, **options
        )
    try:
        return TCPStore(seat.address, seat.port, is_master=False, **options)
    except RuntimeError as error:
        raise ConnectionError(
            f"nobody answers at {seat.address}:{seat.port} within {timeout:g} s; start rank 0 "
            "there, or give all ranks its MASTER_ADDR and MASTER_PORT"
        ) from error


def _meet(seat: Seat, store: PrefixStore, timeout: float) -> None:
    """Return when every rank is there."""
    told = store.compare_set("count", "", str(seat.size)).decode()
    if told != str(seat.size):
        raise ValueError(
            f"rank {seat.rank} was told of {seat.size} processes, another one of {told}; "
            "give all the same WORLD_SIZE"
        )
    if store.add(f"seat/{seat.rank}", 1) > 1:
        raise ValueError(f"rank {seat.rank} is taken; give every process a RANK of its own")
    seats = [f"seat/{q}" for q in range(seat.size)]
    try:
        store.wait(seats, timedelta(seconds=timeout))
    except RuntimeError as error:
        absent = _absent(seat, store, seats)
        if seat.hosts:  # the others ask here for the absent ones at about the same time
            time.sleep(1)
        raise TimeoutError(
            f"of {seat.size} ranks {absent} did not come within {timeout:g} s; start as many as "
            f"WORLD_SIZE says, all with the address {seat.address}:{seat.port}"
        ) from error


def _absent(seat: Seat, store: PrefixStore, seats: list[str]) -> list[int]:
    """Return the ranks that have not come, if rank 0, which holds the list, is still there."""
    try:
        return [q for q, name in enumerate(seats) if not store.check([name])]
    except RuntimeError as error:
        raise ConnectionError(
            f"rank 0, which the others meet at {seat.address}:{seat.port}, ended before all "
            f"{seat.size} ranks had come; see what it says"
        ) from error


@contextlib.contextmanager
def _heeding(watch: Watch) -> Iterator[None]:
    """Turn the signal by which torchrun ends the ranks of a failed one into an error."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return

    def end(*_: Any) -> None:
        if watch.listening:
            return  # this rank knows already, and is about to say who was lost
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise PeerLost(None, "torchrun ended this rank, as it does when another one failed")

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
        Picklable, as ``functools.partial(run, …)`` is; each process calls it after `join`. A
        script that calls `spawn` does so under ``if __name__ == "__main__":``.
    processes : int
        How many.
    timeout : float
        See `join`.

    Raises
    ------
    PeerLost
        If a process was killed or hung; the others are ended.
    Exception
        What a job raised.
    """
    packed = pickle.dumps(job)
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else None)
    context.set_forkserver_preload(["dsbo"])
    with socket.create_server((LOOPBACK, 0)) as listening:
        port = listening.getsockname()[1]
        store = TCPStore(
            LOOPBACK,
            port,
            is_master=True,
            wait_for_workers=False,
            master_listen_fd=listening.detach(),
        )
    children: list[tuple[BaseProcess, Connection]] = []
    try:
        for rank in range(processes):
            here, there = context.Pipe(duplex=False)
            seat = Seat(rank, processes, rank, LOOPBACK, port, hosted=True)
            child = context.Process(target=_work, args=(seat, packed, timeout, there), daemon=True)
            child.start()
            there.close()
            children.append((child, here))
        return _results(children, timeout)
    finally:
        for child, pipe in children:
            child.kill()
            child.join()
            pipe.close()
        del store


def _work(seat: Seat, packed: bytes, timeout: float, pipe: Connection) -> None:
    """Do the job in a new process and send what came of it."""
    outcome: tuple[Any, BaseException | None]
    try:
        with join(seat, timeout):
            outcome = pickle.loads(packed)(), None
    except BaseException as error:
        outcome = None, error
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
