"""DSGD on the lower level, agent by agent and neighbour by neighbour; x stays at zero."""

import numpy as np

from reference.dsoba import average, oracles


def single_level(c, W, beta, steps, noise):
    N, d = c["p"].shape
    x = np.zeros(d)
    y = [np.zeros(c["r"].shape[1]) for _ in range(N)]
    for t in range(steps):
        v = [oracles(c, i, x, y[i], *noise(i, t))[2] for i in range(N)]
        moved = [y[i] - beta * v[i] for i in range(N)]
        y = [average(W, moved, i) for i in range(N)]
    return np.zeros((N, d)), np.array(y)


CASES = {"single level": ("SingleLevelDSGD", single_level, {"beta": 0.2})}
