"""Random numbers as pure functions of (seed, agent, t, stream).

Whatever was drawn before, on whichever process and for whichever device, the same four numbers
give the same draw. That makes a run independent of the number of processes, lets a GPU see the
samples a CPU sees, and makes resuming exact.

The generator is NumPy's counter-based Philox: the seed and the stream are its key, the step and
the agent are the high words of its counter, so no two draws overlap.
"""

from __future__ import annotations

import numpy as np

UPPER, LOWER, CHAIN, UPPER_LOOP, LOWER_LOOP = range(5)
"""Streams of the upper-level sample xi, of the lower-level sample zeta, of a Neumann chain, and of
the samples of inner loops."""


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
