"""The world of an algorithm: two levels, the draws, and ways to mix. Nothing else.

An algorithm that touches only these cannot tell whether its rows are all agents of the
problem or the block that one of several processes holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from dsbo import keys
from dsbo.hypergrad import Chain
from dsbo.keys import Randoms
from dsbo.levels import Level

TOGETHER, ROWS = 64, 2**14
"""Iterations whose random numbers are made at once, and agents times iterations, at most."""


class Sampler(Protocol):
    """Where the samples of one level come from: random numbers first, then what they pick."""

    def numbers(self, randoms: Randoms, agents: Tensor, K: int) -> Tensor | None:
        """Return what K draws need, ``[T, K, n, …]`` for T iterations; None if nothing is random.

        Parameters
        ----------
        randoms : Randoms
            Of those iterations and of n agents.
        agents : Tensor
            Indices ``[n]`` of the agents.
        K : int
            Draws an iteration.
        """
        ...

    def batch(self, numbers: Tensor, agents: Tensor) -> Any:
        """Return the batch of every agent that one draw's ``numbers [n, …]`` stand for."""
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
    seed : int or sequence of int
        The run's seed, 0 or larger; or one for each row.
    agents : Tensor
        Indices ``[n]`` of the agents held here.
    upper, lower : Sampler
        Samplers of the two levels.
    kept : dict
        Numbers of the iterations to come, and data that are taken whole.
    """

    seed: int | Sequence[int]
    agents: Tensor
    upper: Sampler
    lower: Sampler
    kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def xi(self, t: int) -> Any:
        """Return the upper-level samples of iteration t."""
        return self._batches(self.upper, self.numbers(t, keys.UPPER))[0]

    def zeta(self, t: int) -> Any:
        """Return the lower-level samples of iteration t."""
        return self._batches(self.lower, self.numbers(t, keys.LOWER))[0]

    def xis(self, t: int, K: int) -> list[Any]:
        """Return K independent upper-level samples for an inner loop of iteration t."""
        return self._batches(self.upper, self.numbers(t, keys.UPPER_LOOP, K))

    def zetas(self, t: int, K: int) -> list[Any]:
        """Return K independent lower-level samples for the inner loops of iteration t."""
        return self._batches(self.lower, self.numbers(t, keys.LOWER_LOOP, K))

    def chain(self, t: int, K: int) -> Chain:
        """Return the samples of `hypergrad.neumann` at iteration t: xi(t), K lower ones, lengths.

        The lengths are uniform on 0, …, K - 1, one an agent.
        """
        k, *numbers = self.numbers(t, keys.CHAIN, K)
        return Chain(self.xi(t), tuple(self._batches(self.lower, numbers)), k)

    def numbers(self, t: int, stream: int, K: int = 1) -> Sequence[Any]:
        """Return what each of K draws of iteration t needs, after the lengths of a chain.

        Numbers of many iterations are made at once, which takes hardly longer than those of one.
        """
        those, kept = self.kept.get((stream, K), (range(0), ()))
        if t not in those:
            those = _together(t, len(self.agents))
            kept = self._made(those, stream, K)
            self.kept[stream, K] = those, kept
        each = len(kept) // len(those)
        at = (t - those.start) * each
        found: Sequence[Any] = kept[at : at + each]
        return found

    def _made(self, times: range, stream: int, K: int) -> Sequence[Any]:
        """Return the numbers of some iterations in a row."""
        seeds, agents, back = self.seed, self.agents, slice(None)
        if not isinstance(seeds, int):
            # Rows of one seed and agent, as runs of a sweep have them, are drawn once.
            rows = torch.stack([torch.as_tensor(seeds, device="cpu"), agents.cpu()])
            (seeds, agents), back = torch.unique(rows, dim=1, return_inverse=True)
            agents = agents.to(self.agents.device)
        randoms = Randoms(seeds, agents.cpu(), times, stream)
        k = randoms.integers(K, 1)[..., 0] if stream == keys.CHAIN else None
        sampler = self.upper if stream in (keys.UPPER, keys.UPPER_LOOP) else self.lower
        found = sampler.numbers(randoms, agents, K)
        if found is None:
            drawn: Sequence[Any] = [None] * (K * len(times))
        else:
            drawn = found.flatten(0, 1)[:, back].unbind()
        if k is None:
            return drawn
        lengths = torch.from_numpy(k).to(agents.device)[:, back].unbind()
        groups = (drawn[at : at + K] for at in range(0, len(drawn), K))
        return [one for own, group in zip(lengths, groups, strict=True) for one in (own, *group)]

    def _batches(self, sampler: Sampler, numbers: Sequence[Any]) -> list[Any]:
        if numbers[0] is None:  # every draw is everything, and the same
            if id(sampler) not in self.kept:
                self.kept[id(sampler)] = sampler.full(self.agents)
            return [self.kept[id(sampler)]] * len(numbers)
        return [sampler.batch(own, self.agents) for own in numbers]


def _together(t: int, agents: int) -> range:
    """Return the iterations whose numbers are made with those of t: few at first, then many."""
    most = max(1, min(TOGETHER, ROWS // agents))
    if t < most:
        start = 1 << t.bit_length() - 1 if t else 0
        return range(start, min(most, max(1, 2 * start)))
    start = t - t % most
    return range(start, start + most)


class Mixer(Protocol):
    """One round of messages: every agent replaces its rows by a weighted sum of its neighbours'."""

    def __call__(self, *rows: Tensor, push: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Return W times each of ``rows`` and then of ``push``, ``[n, …]`` each, in one round.

        Trackers go as ``push``: on a directed graph they take weights of their own, whose columns
        sum to one, so that all agents together keep the sum of what they track.
        """
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
