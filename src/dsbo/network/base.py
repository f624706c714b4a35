"""What every transport has: checked weights, and the count of what was sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsbo import mixing
from dsbo.network.ranks import ALONE, Ranks

Rounds = Callable[..., tuple[Tensor, ...]]
"""A mixer: rows of the agents held here -> their weighted sums over the neighbours."""


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "W", mixing.check(self.W))

    @property
    def kind(self) -> str:
        """How the sums are computed, in a word."""
        return type(self).__name__

    @property
    def agents(self) -> int:
        """Number N of agents."""
        return len(self.W)

    @property
    def batched(self) -> bool:
        """Whether the derivatives of the agents held here may be computed as one batch."""
        return True

    @property
    def ranks(self) -> Ranks:
        """The processes that share the agents out among them."""
        return ALONE

    @property
    def held(self) -> range:
        """The agents that this process holds."""
        return self.ranks.blocks(self.agents)[self.ranks.rank]

    @property
    def levels(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The weights ``[N, N]`` over which x, y and z are mixed: three times W."""
        return self.W, self.W, self.W

    @cached_property
    def rho(self) -> float:
        """The mixing rate ‖W − 11ᵀ/N‖₂."""
        return mixing.rho(self.W)

    @cached_property
    def links(self) -> int:
        """Ordered pairs of different agents between which a message travels in a round."""
        off = self.W - np.diag(np.diag(self.W))
        return int(np.count_nonzero(off))

    def mixer(self, like: Tensor, sent: Counter[str]) -> Rounds:
        """Return the mixer for tensors of the dtype and device of ``like``.

        Parameters
        ----------
        like : Tensor
            Only its dtype and device matter.
        sent : Counter
            ``rounds`` and ``floats`` (numbers sent over all links together) are added to it.
        """
        return CountingMixer(self.weights(like), self.links, sent)

    def mixers(self, like: Tensor, sent: Counter[str]) -> tuple[Rounds, Rounds, Rounds]:
        """Return the mixers of x, y and z, here three times `mixer`."""
        mixer = self.mixer(like, sent)
        return mixer, mixer, mixer

    def weights(self, like: Tensor) -> Any:
        """Return what a tensor ``[N, p]`` is multiplied by from the left."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class CountingMixer:
    """Multiply by the weights, and count the round and the numbers sent."""

    weights: Any
    links: int
    sent: Counter[str]

    def __call__(self, *rows: Tensor) -> tuple[Tensor, ...]:
        """Return the weights times each of ``rows [N, p]``."""
        self.sent["rounds"] += 1
        self.sent["floats"] += self.links * sum(row.shape[1] for row in rows)
        return tuple(self._mixed(row) for row in rows)

    def _mixed(self, row: Tensor) -> Tensor:
        if row.dtype == torch.float64:
            return torch.mm(self.weights, row)
        # Rounded weights do not sum to one, so only what differs between agents is multiplied.
        return torch.mm(self.weights, row - row[:1]).add_(row[:1])
