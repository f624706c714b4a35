"""What every transport has: checked weights, one network or one a level, and a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsbo import mixing
from dsbo.network.ranks import ALONE, Ranks
from dsbo.spectra import second
from dsbo.stochastic import check_pair

Mix = Callable[..., tuple[Tensor, ...]]
"""Rows of the agents held here -> their weighted sums over the neighbours."""


@dataclass(frozen=True, eq=False)
class Network:
    """Mixing weights on a graph; a subclass says how the sums are computed.

    Parameters
    ----------
    W : array_like
        Doubly stochastic weights ``[N, N]``; agent i takes ``W[i, j]`` of what agent j sends.

    Raises
    ------
    ValueError
        If the weights are not square, finite, non-negative, doubly stochastic and connected.
    """

    W: NDArray[np.float64]
    ranks: Ranks = field(default=ALONE, init=False, repr=False)
    """The processes that share the agents out among them."""
    push: NDArray[np.float64] | None = field(default=None, init=False, repr=False)
    """Weights of trackers where they have their own: columns sum to one, in ``W`` then rows do."""

    batched: ClassVar[bool] = True
    """Whether the derivatives of the agents held here may be computed as one batch."""
    varies: ClassVar[bool] = False
    """Whether the weights differ from round to round; then ``W`` is their mean."""

    def __post_init__(self) -> None:
        if self.push is None:
            object.__setattr__(self, "W", mixing.check(self.W))
        else:
            for name, made in zip(("W", "push"), check_pair(self.W, self.push), strict=True):
                object.__setattr__(self, name, made)

    @property
    def agents(self) -> int:
        """Number N of agents."""
        return len(self.W)

    @property
    def held(self) -> range:
        """The agents that this process holds."""
        return self.ranks.blocks(self.agents)[self.ranks.rank]

    @property
    def levels(self) -> PerLevel:
        """The networks of x, y and z: three times this one."""
        return PerLevel(self, self, self)

    def check_ranks(self) -> None:
        """Raise a ValueError if the network is not one of this process."""

    @property
    def matrices(self) -> NDArray[np.float64]:
        """All weights that make it this network, ``[N, N]`` or ``[…, N, N]``."""
        return self.W if self.push is None else np.stack([self.W, self.push])

    @cached_property
    def rho(self) -> float:
        """The mixing rate ‖W − 11ᵀ/N‖₂; with weights for trackers, the slower second modulus."""
        if self.push is None:
            return mixing.rho(self.W)
        return max(second(self.W), second(self.push))

    @cached_property
    def links(self) -> int:
        """Ordered pairs of different agents between which a message travels in a round."""
        off = self.W - np.diag(np.diag(self.W))
        return int(np.count_nonzero(off))

    def mixer(self, like: Tensor, sent: Counter[str], clock: str = "rounds") -> Mix:
        """Return the mixer for tensors of the dtype and device of ``like``.

        Parameters
        ----------
        like : Tensor
            Only its dtype and device matter.
        sent : Counter
            ``rounds`` and ``floats`` (numbers sent over all links together) are added to it.
        clock : str
            Which count of it says the round of this network.
        """
        sent.setdefault(clock, 0)
        return MatrixMixer(self.weights(like), self.links, sent, clock)

    def weights(self, like: Tensor) -> Callable[[int], Any]:
        """Return a function: round -> what a tensor ``[N, p]`` is multiplied by from the left."""
        raise NotImplementedError


class PerLevel(NamedTuple):
    """One network for x, one for y and one for z, for methods that mix the levels separately.

    Where all three are one and the same, it stands for that one.

    Parameters
    ----------
    x, y, z : Network
        Over which the upper, the lower and the auxiliary variables are mixed.

    Examples
    --------
    >>> from dsbo import Dense, graphs, mixing
    >>> ring, complete = (Dense(mixing.metropolis(G(6))) for G in (graphs.ring, graphs.complete))
    >>> PerLevel(x=ring, y=complete, z=complete).links
    72
    """

    x: Network
    y: Network
    z: Network

    @property
    def levels(self) -> PerLevel:
        """The three networks themselves."""
        return self

    @property
    def distinct(self) -> tuple[Network, ...]:
        """The three networks, or the one that all of them are."""
        return tuple(self) if not self.x is self.y is self.z else (self.x,)

    @property
    def kind(self) -> str:
        """How the sums of each level are computed."""
        kinds = [type(network).__name__ for network in self.distinct]
        return kinds[0] if len(kinds) == 1 else f"PerLevel({', '.join(kinds)})"

    @property
    def matrices(self) -> NDArray[np.float64]:
        """The weights ``[N, N]``, or ``[…, N, N]`` of all levels that differ, one after another."""
        first, *others = (network.matrices for network in self.distinct)
        N = self.x.agents
        every = [W.reshape(-1, N, N) for W in (first, *others)]
        return np.concatenate(every) if others else first

    @property
    def rho(self) -> float:
        """The mixing rate of the slowest of the three."""
        return max(network.rho for network in self)

    @property
    def links(self) -> int:
        """Ordered pairs of agents that exchange messages, added up over the graphs."""
        return sum(network.links for network in self.distinct)

    def mixers(self, like: Tensor, sent: Counter[str]) -> tuple[Mix, ...]:
        """Return the mixers of x, y and z; see `Network.mixer`."""
        if len(self.distinct) == 1:
            return (self.x.mixer(like, sent),) * 3
        clocks = ("rounds of x", "rounds of y", "rounds of z")
        return tuple(
            level.mixer(like, sent, clock) for level, clock in zip(self, clocks, strict=True)
        )


@dataclass(frozen=True, eq=False)
class MatrixMixer:
    """Multiply by the weights of the round, and count it and the numbers sent."""

    weights: Callable[[int], Any]
    links: int
    sent: Counter[str]
    clock: str

    def __call__(self, *rows: Tensor, push: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Return the weights times each of ``rows [N, p]``, and of ``push``."""
        W, rows = self.weights(self.sent[self.clock]), (*rows, *push)
        self.sent.update({"rounds", self.clock})
        self.sent["floats"] += self.links * sum(row.shape[1] for row in rows)
        return tuple(torch.mm(W, row) if row.itemsize == 8 else apart(W, row) for row in rows)


def apart(W: Any, rows: Tensor) -> Tensor:
    """Return W times rows of single precision, so that what all agree on passes unrounded.

    Else they drift where mixed values are summed up, at a rate that depends on the processor. The
    mean of a column is set aside, but where agents are so unlike that digits would be lost.
    """
    mean = rows.mean(0)
    shared = torch.where(rows.amax(0) - rows.amin(0) <= mean.abs(), mean, 0.0)
    return shared + torch.mm(W, rows - shared)
