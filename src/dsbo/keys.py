"""Random numbers as pure functions of (seed, agent, t, stream).

Whatever was drawn before, on whichever process and for whichever device, the same four numbers
give the same draw. That makes a run independent of the number of processes, lets a GPU see the
samples a CPU sees, and makes resuming exact.

The generator is NumPy's counter-based Philox: the seed and the stream are its key, the step and
the agent are the high words of its counter, so no two draws overlap. Since a draw needs nothing
but its own counter, `Randoms` computes those of many agents and iterations in one go, and gives
what NumPy's generators give.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

UPPER, LOWER, CHAIN, UPPER_LOOP, LOWER_LOOP = range(5)
"""Streams of the upper-level sample xi, of the lower-level sample zeta, of a Neumann chain, and of
the samples of inner loops."""

Words = NDArray[np.uint64]
MULTIPLIERS = np.array([0xD2E7470EE14C6C93, 0xCA5A826395121157], np.uint64)[:, None]
BUMPS = np.array([0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B], np.uint64)[:, None]
"""Of Philox4x64, Salmon et al. 2011; a column each, since two words are computed at a time."""
ROUNDS = 10
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def generator(seed: int, agent: int, t: int, stream: int) -> np.random.Generator:
    """Return the generator that belongs to one agent, step and stream.

    Parameters
    ----------
    seed, agent, t, stream : int
        Non-negative integers below 2**63.

    Examples
    --------
    >>> a, b = (generator(0, 3, 7, UPPER).integers(100, size=4) for _ in range(2))
    >>> bool((a == b).all())
    True
    >>> bool((a == generator(0, 4, 7, UPPER).integers(100, size=4)).all())
    False
    """
    bits = np.random.Philox(key=np.array([seed, stream], np.uint64), counter=[0, 0, t, agent])
    return np.random.Generator(bits)


class Randoms:
    """What the generators of n agents in T iterations give, one draw after the other.

    Parameters
    ----------
    seeds : int or array_like
        One for all agents, or one each.
    agents, times : array_like
        Agents ``[n]`` and iterations ``[T]``.
    stream : int
        One of the streams of this module.

    Examples
    --------
    >>> drawn = Randoms(0, [3, 4], [7], UPPER).integers(100, 4)
    >>> bool((drawn[0, 1] == generator(0, 4, 7, UPPER).integers(100, size=4)).all())
    True
    """

    def __init__(self, seeds: ArrayLike, agents: ArrayLike, times: ArrayLike, stream: int) -> None:
        cells = np.asarray(seeds), np.asarray(agents), np.asarray(times)[:, None]
        self.seeds, self.agents, self.times = np.broadcast_arrays(*cells)
        self.stream, self.given = stream, list[tuple[Words, int]]()
        self.apart = dict[tuple[int, ...], np.random.Generator]()

    def integers(self, bound: int | NDArray[np.int64], size: int) -> NDArray[np.int64]:
        """Return ``size`` whole numbers in 0, …, bound - 1 for each, ``[T, n, size]``.

        The bound is one for all agents, or ``[n]``.
        """
        bounds = np.broadcast_to(np.asarray(bound, np.uint64), self.times.shape)
        scaled = self._words(sum(n for k, n in self.given if k.max() > 1), size) * bounds[..., None]
        drawn = (scaled >> HALF).view(np.int64)
        # A few words would favour some numbers; then NumPy takes another word, and so do we.
        again = (scaled & LOW < 2**32 % bounds[..., None]).any(-1)
        again |= (bounds == 1) & (bounds.max() > 1)  # of one number NumPy takes no word
        for cell in {*self.apart, *zip(*map(np.ndarray.tolist, np.nonzero(again)), strict=True)}:
            drawn[cell] = self._generator(cell).integers(bounds[cell], size=size)
        self.given.append((bounds, size))
        return drawn

    def normal(self, size: int) -> NDArray[np.float64]:
        """Return ``size`` standard normal numbers for each, ``[T, n, size]``."""
        cells = np.ndindex(self.times.shape)
        drawn = [self._generator(cell).standard_normal(size) for cell in cells]
        return np.reshape(drawn, (*self.times.shape, size))

    def _generator(self, cell: tuple[int, ...]) -> np.random.Generator:
        """Return the generator of an agent and iteration, from here on used for all its draws."""
        if cell not in self.apart:
            seed, agent, t = (int(part[cell]) for part in (self.seeds, self.agents, self.times))
            self.apart[cell] = generator(seed, agent, t, self.stream)
            for bounds, size in self.given:
                self.apart[cell].integers(bounds[cell], size=size)
        return self.apart[cell]

    def _words(self, start: int, size: int) -> Words:
        """Return as many 32-bit words of each generator, ``[T, n, size]``, from ``start`` on."""
        first, last = start // 8, -(-(start + size) // 8)
        counter = np.zeros((4, last - first, *self.times.shape), np.uint64)
        counter[0] = np.arange(first + 1, last + 1, dtype=np.uint64)[:, None, None]
        counter[2], counter[3] = self.times, self.agents
        words = _philox(counter.reshape(4, -1), self.seeds.astype(np.uint64), self.stream)
        # Of a 64-bit word NumPy takes the lower half first.
        halves = np.stack([words & LOW, words >> HALF]).reshape(2, 4, last - first, -1)
        rows = halves.transpose(3, 2, 1, 0).reshape(*self.times.shape, -1)
        return rows[..., start - 8 * first :][..., :size]


def _philox(counter: Words, seeds: Words, stream: int) -> Words:
    """Return the four random 64-bit words ``[4, k]`` of each counter ``[4, k]``."""
    even, odd = counter[::2], counter[1::2]
    seeds = np.broadcast_to(seeds, (counter.shape[1] // seeds.size, *seeds.shape)).reshape(-1)
    key = np.stack([seeds, np.full_like(seeds, stream)])
    by = np.repeat(MULTIPLIERS, counter.shape[1], axis=1)  # a row times a row is twice as fast
    parts = by >> HALF, by & LOW
    for _ in range(ROUNDS):
        high, low = _high(even, *parts), even * by
        high[::-1] ^= odd
        high ^= key[::-1]
        even, odd = high[::-1], low[::-1]
        key += BUMPS
    return np.stack([even[0], odd[0], even[1], odd[1]])


def _high(words: Words, c: Words, d: Words) -> Words:
    """Return the high 64 bits of words times 2**32 c + d."""
    a, b = words >> HALF, words & LOW
    high, middle, carry = a * c, a * d, b * d
    carry >>= HALF
    middle += carry
    b *= c
    b += middle & LOW
    middle >>= HALF
    b >>= HALF
    high += middle
    high += b
    return high
