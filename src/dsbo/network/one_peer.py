"""Exponential graph, one neighbour a round."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsbo import mixing
from dsbo.network.base import CountingMixer, Network


@dataclass(frozen=True, eq=False)
class OnePeer(Network):
    """In round k agent i averages with agent i + 2^k alone, and after log2 N rounds k is 0 again.

    If N is a power of two, log2 N rounds are an exact average, for one message an agent and round.
    W is the mean of the weights over a period, and rho that of W. The round is the number of rounds
    counted so far, so a resumed run goes on with its neighbour; in a `PerLevel` the rounds of all
    levels count. Ying et al. 2021.

    Parameters
    ----------
    N : int
        Number of agents, at least 2.

    Raises
    ------
    ValueError
        If N is smaller.

    Examples
    --------
    >>> x = torch.arange(4.0)[:, None]
    >>> mix = OnePeer(4).mixer(x, Counter())
    >>> mix(*mix(x))[0].ravel()
    tensor([1.5000, 1.5000, 1.5000, 1.5000])
    """

    W: NDArray[np.float64] = field(init=False)
    N: int

    def __post_init__(self) -> None:
        if self.N < 2:
            raise ValueError(f"one peer needs another agent, but N = {self.N}; give N >= 2")
        object.__setattr__(self, "W", mixing.check(self.rounds.mean(axis=0)))

    @cached_property
    def rounds(self) -> NDArray[np.float64]:
        """Weights ``[log2 N, N, N]`` of every round of a period, log2 N rounded up."""
        one = np.eye(self.N)
        hops = [2**k for k in range((self.N - 1).bit_length())]
        return np.stack([(one + np.roll(one, hop, axis=1)) / 2 for hop in hops])

    @cached_property
    def links(self) -> int:
        """Messages of a round: one an agent."""
        return self.N

    def mixer(self, like: Tensor, sent: Counter[str]) -> CountingMixer:
        """Return the mixer, whose weights change with the rounds in ``sent``."""
        rounds = torch.as_tensor(self.rounds, dtype=like.dtype, device=like.device)
        return TurningMixer(rounds, self.links, sent)


@dataclass(frozen=True, eq=False)
class TurningMixer(CountingMixer):
    """Multiply by the weights of the round, and count it."""

    def __call__(self, *rows: Tensor) -> tuple[Tensor, ...]:
        """Return the weights of this round times each of ``rows [N, p]``."""
        now = self.weights[self.sent["rounds"] % len(self.weights)]
        return CountingMixer(now, self.links, self.sent)(*rows)
