"""The processes of a run, and what they tell each other outside the algorithms.

Each process has a rank 0, …, P - 1 and holds a block of consecutive agents. Metrics, checkpoints
and agreements are collectives of all ranks; the rounds of an algorithm are not, they are messages
between neighbours (`dsbo.network.peers`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from dsbo.network.watch import Watch

T = TypeVar("T")


class Ranks:
    """All processes of a run, seen from one of them.

    Parameters
    ----------
    rank, count : int
        Which process this is, and how many there are.
    watch : Watch, optional
        Who finds out which rank was lost; None in a process that is alone.
    device : torch.device
        Where messages live: the CPU for gloo, a GPU for nccl.
    """

    def __init__(
        self,
        rank: int = 0,
        count: int = 1,
        watch: Watch | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.rank, self.count, self.watch = rank, count, watch
        self.device = torch.device(device)
        self.waited = 0.0
        """Seconds that this process has waited for others."""

    def blocks(self, agents: int) -> list[range]:
        """Return every rank's agents; the first ranks hold one more if the count does not divide.

        Raises
        ------
        ValueError
            If there are more processes than agents.
        """
        if self.count > agents:
            raise ValueError(
                f"{agents} agents cannot be spread over {self.count} processes; "
                f"start at most {agents}"
            )
        size, more = divmod(agents, self.count)
        ends = [r * size + min(r, more) for r in range(self.count + 1)]
        return [range(*pair) for pair in pairwise(ends)]

    def broadcast(self, function: Callable[[], T]) -> T:
        """Return on every rank what ``function()`` returns on rank 0; an error is raised on all."""
        if self.count == 1:
            return function()
        told: list[Any] = [None, None]
        if self.rank == 0:
            try:
                told[0] = function()
            except Exception as error:
                told[1] = error
        with self.waiting():
            dist.broadcast_object_list(told, src=0, device=self.device)
        if told[1] is not None:
            raise told[1]
        value: T = told[0]
        return value

    def gather(self, value: T) -> list[T]:
        """Return every rank's value, by rank."""
        if self.count == 1:
            return [value]
        told: list[Any] = [None] * self.count
        with self.waiting():
            dist.all_gather_object(told, value)
        return told

    def maximum(self, number: int) -> int:
        """Return the largest of all ranks' numbers."""
        if self.count == 1:
            return number
        largest = torch.tensor([number], device=self.device)
        with self.waiting():
            dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def gather_rows(self, rows: Tensor, agents: int) -> Tensor:
        """Return on rank 0 the rows ``[N, …]`` of all agents; elsewhere the rows given."""
        if self.count == 1:
            return rows
        blocks = self.blocks(agents)
        if self.rank > 0:
            self.exchange([dist.P2POp(dist.isend, rows.contiguous(), 0)])
            return rows
        parts = [rows, *(rows.new_empty(len(block), *rows.shape[1:]) for block in blocks[1:])]
        self.exchange([dist.P2POp(dist.irecv, part, r) for r, part in enumerate(parts) if r > 0])
        return torch.cat(parts)

    def scatter_rows(self, rows: Tensor | None, like: Tensor, agents: int) -> Tensor:
        """Return this rank's part, shaped as ``like``, of the ``rows [N, …]`` that rank 0 has."""
        if self.count > 1 and self.rank > 0:
            mine = torch.empty_like(like)
            self.exchange([dist.P2POp(dist.irecv, mine, 0)])
            return mine
        if rows is None:
            raise ValueError("rank 0 has no rows to scatter; give it those of all agents")
        parts = [rows[block.start : block.stop] for block in self.blocks(agents)]
        self.exchange([dist.P2POp(dist.isend, part, r) for r, part in enumerate(parts) if r > 0])
        return parts[0]

    def exchange(self, ops: Iterable[dist.P2POp]) -> None:
        """Send and receive, and return when all is done."""
        self.finish(self.post(ops))

    def post(self, ops: Iterable[dist.P2POp]) -> list[dist.Work]:
        """Start to send and receive; the time to make ``ops`` counts as waiting too."""
        with self.waiting():
            ready = list(ops)
            works: list[dist.Work] = dist.batch_isend_irecv(ready) if ready else []
        return works

    def finish(self, works: Sequence[dist.Work]) -> None:
        """Return when what was posted is done."""
        with self.waiting():
            for work in works:
                work.wait()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time spent on others, and say who was lost if they do not come.

        Raises
        ------
        PeerLost
            If a message does not come through.
        """
        if self.watch is not None:
            self.watch.rounds += 1
        started = time.perf_counter()
        try:
            yield
        except RuntimeError as error:
            if self.watch is None:
                raise
            raise self.watch.blame(error) from error
        finally:
            self.waited += time.perf_counter() - started


ALONE = Ranks()
_joined: list[Ranks] = []


def here() -> Ranks:
    """Return the ranks that this process has joined; by default it is alone.

    Raises
    ------
    RuntimeError
        If a process group was made behind this package's back.
    """
    if _joined:
        return _joined[-1]
    if dist.is_initialized():
        raise RuntimeError(
            "a process group is there that was not joined; "
            "use dsbo.network.join() instead of init_process_group()"
        )
    return ALONE


@contextmanager
def joined(ranks: Ranks) -> Iterator[Ranks]:
    """Let `here` return ``ranks``."""
    _joined.append(ranks)
    try:
        yield ranks
    finally:
        _joined.pop()
