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
    ],
)
def test_many_draws_at_once_are_numpys(draws):
    randoms = Randoms(SEEDS, AGENTS, TIMES, keys.CHAIN)
    got = [*(randoms.integers(*draw) for draw in draws), randoms.normal(3)]
    for k, t in enumerate(TIMES):
        for j, (agent, seed) in enumerate(zip(AGENTS, SEEDS, strict=True)):
            rng = generator(seed, agent, t, keys.CHAIN)
            want = [*(rng.integers(m, size=n) for m, n in draws), rng.standard_normal(3)]
            for mine, numpys in zip(got, want, strict=True):
                np.testing.assert_array_equal(mine[k, j], numpys)
