"""The world of an algorithm: two levels, the draws, and ways to mix. Nothing else.

An algorithm that touches only these cannot tell whether its rows are all agents of the
problem or the block that one of several processes holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from dsbo import keys
from dsbo.hypergrad import Chain
from dsbo.levels import Level


class Sampler(Protocol):
    """Where the samples of one level come from."""

    def __call__(self, generators: Iterable[np.random.Generator], agents: Tensor) -> Any:
        """Return one batch an agent, stacked along a leading axis.

        Parameters
        ----------
        generators : iterable of numpy.random.Generator
            One an agent, in the order of ``agents``.
        agents : Tensor
            Indices ``[n]`` of the agents held here.
        """
        ...

    def full(self, agents: Tensor) -> Any:
        """Return everything the agents have instead of a draw."""
        ...

    def to(self, device: torch.device) -> Sampler:
        """Return the sampler with its data on ``device``."""
        ...


@dataclass(frozen=True)
class Draws:
    """The samples of a run; each is a value that depends on (seed, agent, t, stream) alone.

    Parameters
    ----------
    seed : int
        The run's seed, 0 or larger.
    agents : Tensor
        Indices ``[n]`` of the agents held here.
    upper, lower : Sampler
        Samplers of the two levels.
    """

    seed: int
    agents: Tensor
    upper: Sampler
    lower: Sampler

    def xi(self, t: int) -> Any:
        """Return the upper-level samples of iteration t."""
        return self._draw(self.upper, t, keys.UPPER)

    def zeta(self, t: int) -> Any:
        """Return the lower-level samples of iteration t."""
        return self._draw(self.lower, t, keys.LOWER)

    def xis(self, t: int, K: int) -> list[Any]:
        """Return K independent upper-level samples for an inner loop of iteration t."""
        rngs = self._generators(t, keys.UPPER_LOOP)
        return [self.upper(rngs, self.agents) for _ in range(K)]

    def zetas(self, t: int, K: int) -> list[Any]:
        """Return K independent lower-level samples for the inner loops of iteration t."""
        rngs = self._generators(t, keys.LOWER_LOOP)
        return [self.lower(rngs, self.agents) for _ in range(K)]

    def chain(self, t: int, K: int) -> Chain:
        """Return the samples of `hypergrad.neumann` at iteration t: xi(t), K lower ones, lengths.

        The lengths are uniform on 0, …, K - 1, one an agent.
        """
        rngs = self._generators(t, keys.CHAIN)
        k = torch.as_tensor([int(rng.integers(K)) for rng in rngs], device=self.agents.device)
        # One generator an agent goes through all K draws, so they are independent.
        return Chain(self.xi(t), tuple(self.lower(rngs, self.agents) for _ in range(K)), k)

    def _draw(self, sampler: Sampler, t: int, stream: int) -> Any:
        return sampler(self._generators(t, stream), self.agents)

    def _generators(self, t: int, stream: int) -> list[np.random.Generator]:
        return [keys.generator(self.seed, i, t, stream) for i in self.agents.tolist()]


class Mixer(Protocol):
    """One round of messages: every agent replaces its rows by a weighted sum of its neighbours'."""

    def __call__(self, *rows: Tensor) -> tuple[Tensor, ...]:
        """Return W times each of ``rows [n, …]``; one message and one round for all of them."""
        ...


class World(NamedTuple):
    """All that an algorithm may touch.

    Most methods mix everything by ``mix``; those that mix the levels separately use it for x,
    ``mix_y`` for y and ``mix_z`` for z. Unless the network is a `PerLevel` the three are one.
    """

    f: Level
    g: Level
    draw: Draws
    mix: Mixer
    mix_y: Mixer
    mix_z: Mixer
