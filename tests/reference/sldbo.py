"""SLDBO, agent by agent and neighbour by neighbour, in NumPy; the problem as in dsoba.py."""

import numpy as np

from reference.dsoba import average, oracles


def sldbo(c, W, alpha, beta, gamma, radius, steps, noise):
    """noise(i, t) as for dsoba; returns x, y and z."""
    N, d = c["p"].shape
    q = c["r"].shape[1]
    w = [[np.zeros(n) for _ in range(N)] for n in (d, q, q)]
    track = [[np.zeros(n) for _ in range(N)] for n in (d, q, q)]
    before = [[np.zeros(n) for _ in range(N)] for n in (d, q, q)]
    for t in range(steps):
        D = [[], [], []]
        for i in range(N):
            x, y, z = (level[i] for level in w)
            u_x, u_y, v, J, H = oracles(c, i, x, y, *noise(i, t))
            for level, own in zip(D, (u_x - J @ z, v, H @ z - u_y), strict=True):
                level.append(own)
        for k, step in enumerate((alpha, beta, gamma)):
            track[k] = [average(W, track[k], i) + D[k][i] - before[k][i] for i in range(N)]
            w[k] = [average(W, w[k], i) - step * track[k][i] for i in range(N)]
        for i in range(N):
            length = np.sqrt(np.sum(w[2][i] ** 2))
            if length > radius:
                w[2][i] = w[2][i] / length * radius
        before = D
    return tuple(np.array(level) for level in w)


CASES = {"sldbo": ("SLDBO", sldbo, {"alpha": 0.1, "beta": 0.2, "gamma": 0.2, "radius": 0.8})}
