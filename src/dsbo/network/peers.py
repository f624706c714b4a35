"""Many processes, each with a block of agents, that send rows to neighbours only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from dsbo import mixing
from dsbo.network.base import Network, PerLevel
from dsbo.network.ranks import Ranks, here

Row = tuple[Tensor, ...]
"""One agent's row of every tensor that is mixed."""


@dataclass(frozen=True, eq=False)
class Peers(Network):
    """W over the processes that this one has joined; alone, it holds all agents.

    A row crosses once to each other process that has a weight for it, in one message a round and
    process. Meanwhile the agents whose neighbours are all here are summed. Sums run over the
    neighbours in the order of the agents, and derivatives are computed one agent after the other,
    so that the numbers do not depend on how many processes there are: on the CPU a run has the
    same bits on 1 and on 4, given equal machines, libraries and threads a process.

    >>> from dsbo import graphs, mixing
    >>> Peers(mixing.metropolis(graphs.ring(6))).held
    range(0, 6)
    """

    batched: ClassVar[bool] = False
    push: NDArray[np.float64] | None = field(default=None, repr=False)
    """As for `PushPull`: weights ``[N, N]`` of trackers, whose columns sum to one."""
    ranks: Ranks = field(default_factory=here, init=False, repr=False)
    """The processes that this one had joined when the network was made."""

    def check_ranks(self) -> None:
        """Raise a ValueError if other processes were joined since the network was made."""
        if self.ranks is not here():
            raise ValueError(
                "Peers(W) was made before this process joined others, or after it left them; "
                "make it where it is used, inside or outside `with join():`"
            )

    def __reduce__(self) -> tuple[type[Peers], tuple[Any, ...]]:
        return Peers, (self.W, self.push)  # in another process it belongs to the ranks there

    @property
    def crossings(self) -> int:
        """Rows that all processes together send to others in a round."""
        blocks = self.ranks.blocks(self.agents)
        return sum(len(self.asked(by, of)) for by in blocks for of in blocks if by != of)

    def asked(self, by: range, of: range) -> list[int]:
        """Return the agents in ``of`` that some agent in ``by`` has a weight for."""
        part = self.W[by.start : by.stop, of.start : of.stop]
        return [of.start + int(j) for j in np.flatnonzero(part.any(axis=0))]

    def mixer(self, like: Tensor, sent: Counter[str], clock: str = "") -> PeerMixer:  # noqa: ARG002
        """Return the mixer of this process; it counts what all agents together send."""
        return PeerMixer(self, like.dtype, sent)


def over_processes(network: Network | PerLevel) -> PerLevel:
    """Return networks with the same weights over the processes that this one has joined.

    Raises
    ------
    TypeError
        If weights do not stay the same, so that `Peers` cannot hold them.
    """
    levels = network.levels
    if changing := [type(part).__name__ for part in levels if part.varies]:
        raise TypeError(
            f"{changing[0]} has no form over several processes; run it in one process, "
            "without torchrun, or give the agents weights that stay"
        )
    made = {id(part): Peers(part.W, part.push) for part in levels}
    return PerLevel(*(made[id(part)] for part in levels))


class PeerMixer:
    """One round of messages between processes, and the sums of the agents held here."""

    def __init__(self, network: Peers, dtype: torch.dtype, sent: Counter[str]) -> None:
        self.ranks, self.held = network.ranks, network.held
        self.links, self.sent = network.links, sent
        others = [
            (q, block)
            for q, block in enumerate(self.ranks.blocks(network.agents))
            if block != self.held
        ]
        self.sends = {q: asked for q, b in others if (asked := network.asked(b, self.held))}
        self.receives = {q: asked for q, b in others if (asked := network.asked(self.held, b))}
        weights = mixing.rounded(network.W, dtype)
        self.terms = _terms(weights, self.held)
        push = network.push
        self.pushed = (
            self.terms if push is None else _terms(mixing.rounded(push.T, dtype).T, self.held)
        )
        remote = {j for asked in self.receives.values() for j in asked}
        self.outer = [i for i in self.held if any(j in remote for j, _ in self.terms[i])]
        self.inner = [i for i in self.held if i not in self.outer]

    def __call__(self, *rows: Tensor, push: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Return the rows ``[n, …]`` of the agents held here after a round of all agents."""
        pulled, rows = len(rows), (*rows, *push)
        widths = [row.shape[1] for row in rows]
        self.sent["rounds"] += 1
        self.sent["floats"] += self.links * sum(widths)
        known = {i: tuple(row[k] for row in rows) for k, i in enumerate(self.held)}
        arriving = {
            q: rows[0].new_empty(len(asked), sum(widths)) for q, asked in self.receives.items()
        }
        works = self.ranks.post(self._messages(known, arriving))
        mixed = tuple(row.new_empty(row.shape) for row in rows)
        self._sum(self.inner, known, mixed, pulled)
        self.ranks.finish(works)
        for q, asked in self.receives.items():
            known |= {j: row.split(widths) for j, row in zip(asked, arriving[q], strict=True)}
        self._sum(self.outer, known, mixed, pulled)
        return mixed

    def _messages(
        self, known: Mapping[int, Row], arriving: Mapping[int, Tensor]
    ) -> Iterator[dist.P2POp]:
        for q in sorted({*self.sends, *self.receives}):
            if q in self.sends:
                message = torch.cat([part for j in self.sends[q] for part in known[j]])
                yield dist.P2POp(dist.isend, message, q)
            if q in self.receives:
                yield dist.P2POp(dist.irecv, arriving[q], q)

    def _sum(
        self,
        agents: Iterable[int],
        known: Mapping[int, Row],
        mixed: Sequence[Tensor],
        pulled: int,
    ) -> None:
        # One agent's row at a time, its neighbours in order: a matrix product would add them up
        # in an order that depends on how many rows are here.
        for i in agents:
            for k, target in enumerate(part[i - self.held.start] for part in mixed):
                (j, weight), *others = (self.terms if k < pulled else self.pushed)[i]
                torch.mul(known[j][k], weight, out=target)
                for neighbour, w in others:
                    target.add_(known[neighbour][k], alpha=w)


def _terms(weights: NDArray[np.float64], agents: range) -> dict[int, list[tuple[int, float]]]:
    """Return of each of some agents whom it hears, and with what weight."""
    return {i: [(int(j), float(weights[i, j])) for j in np.flatnonzero(weights[i])] for i in agents}
