"""Random numbers made many at a time are those that NumPy's generators give one by one."""

import numpy as np
import pytest

from dsbo import keys
from dsbo.keys import Randoms, generator

AGENTS, TIMES, SEEDS = [0, 1, 9, 2**40], [0, 5, 10**9], [0, 7, 0, 2**60]


@pytest.mark.parametrize(
    "draws",
    [
        [(50, 20)],
        [(10, 1), (5000, 33), (5000, 32)],  # a chain's length, then its samples
        [(1, 3), (2**31 + 5, 7), (3, 4)],  # half of all words are thrown away, none are used up
        [(3 * 2**30, 40), (2**32, 5)],
        [(10, 1), ([7, 1, 2**31 + 5, 3], 4), (9, 2)],  # a bound an agent; of one, no word is taken
    ],
)
def test_many_draws_at_once_are_numpys(draws):
    randoms = Randoms(SEEDS, AGENTS, TIMES, keys.CHAIN)
    got = [*(randoms.integers(np.array(m), n) for m, n in draws), randoms.normal(3)]
    for k, t in enumerate(TIMES):
        for j, (agent, seed) in enumerate(zip(AGENTS, SEEDS, strict=True)):
            rng = generator(seed, agent, t, keys.CHAIN)
            bounds = [m[j] if isinstance(m, list) else m for m, _ in draws]
            want = [rng.integers(m, size=n) for m, (_, n) in zip(bounds, draws, strict=True)]
            want += [rng.standard_normal(3)]
            for mine, numpys in zip(got, want, strict=True):
                np.testing.assert_array_equal(mine[k, j], numpys)
