"""Time things against one another: machines differ and drift, ratios within one run hardly."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch

THREADS = 2
CACHE = "TORCHINDUCTOR_CACHE_DIR"
"""Where PyTorch's compiler keeps what it made."""
Thing = Callable[[], Any]


@dataclass(frozen=True)
class Ratio:
    """What a part of the bench found: a ratio, and the goal it should reach."""

    text: str
    value: float
    goal: float
    at_least: bool = False

    @property
    def good(self) -> bool:
        """Whether the goal is reached."""
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def told(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return asdict(self) | {"good": self.good}


@dataclass(frozen=True)
class Found:
    """Seconds of each thing of a part, its ratios, and sizes that are no seconds."""

    seconds: dict[str, float]
    ratios: list[Ratio]
    sizes: dict[str, float] = field(default_factory=dict)


def in_turn(things: dict[str, Thing], rounds: int) -> dict[str, float]:
    """Return the median seconds of each thing, all timed alternately."""
    for thing in things.values():
        for _ in range(min(rounds, 3)):
            thing()
    times: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(rounds):
        for name, thing in things.items():
            thing()  # so that none pays for the caches that its neighbour filled
            started = time.perf_counter()
            thing()
            times[name].append(time.perf_counter() - started)
    return {name: median(values) for name, values in times.items()}


@contextmanager
def in_own_process(make: Callable[[], Thing]) -> Iterator[Thing]:
    """Give a function that does what `make()` does, once per call, in a fresh process.

    A script finds the memory allocator as the C library sets it up, and JAX its own threads.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, make), daemon=True)
    process.start()
    here.recv()

    def once() -> Any:
        here.send(None)
        return here.recv()

    try:
        yield once
    finally:
        process.terminate()
        process.join()


def peak() -> int:
    """Return the most bytes of memory that this process has held, on Linux."""
    # What getrusage tells of a child begins with what its parent held.
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    (held,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return 1024 * int(held)


@contextmanager
def nothing_compiled() -> Iterator[None]:
    """Let processes that start here find nothing that was compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get(CACHE)
        os.environ[CACHE] = folder
        try:
            yield
        finally:
            del os.environ[CACHE]
            if before is not None:
                os.environ[CACHE] = before


def _serve(pipe: Connection, make: Callable[[], Thing]) -> None:
    torch.set_num_threads(THREADS)
    thing = make()
    pipe.send(None)
    while True:
        pipe.recv()
        pipe.send(thing())
