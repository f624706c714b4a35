"""Gossip-DSBO, agent by agent and neighbour by neighbour, in NumPy; the problem as in dsoba.py."""

import numpy as np

from reference.dsoba import average, oracles


def gossip(c, W, alpha, gamma, theta, copies, L, steps, noise):
    """noise(i, t) as for dsoba; returns x, y, s, r, the rows of J' and of the copies of V."""
    N, d = c["p"].shape
    q = c["r"].shape[1]
    x, s = ([np.zeros(d) for _ in range(N)] for _ in range(2))
    y, r = ([np.zeros(q) for _ in range(N)] for _ in range(2))
    J = [np.zeros((d, q)) for _ in range(N)]
    V = [[np.zeros((q, q)) for _ in range(N)] for _ in range(copies)]
    for t in range(steps):
        u_x, u_y, v, J_now, H_now = zip(
            *(oracles(c, i, x[i], y[i], *noise(i, t)) for i in range(N)), strict=True
        )

        def moved(rows, new, theta=theta):
            return [(1 - theta) * average(W, rows, i) + theta * new[i] for i in range(N)]

        new_x = []
        for i in range(N):
            inverse, product = np.eye(q) / L, np.eye(q)
            for k in range(copies):
                product = (np.eye(q) - V[k][i] / L) @ product
                inverse = inverse + product / L
            new_x.append(average(W, x, i) - alpha * (s[i] - J[i] @ inverse @ r[i]))
        y = [average(W, y, i) - gamma * v[i] for i in range(N)]
        x, s, r, J = new_x, moved(s, u_x), moved(r, u_y), moved(J, J_now)
        V = [moved(copy, H_now) for copy in V]
    rows = np.array([np.concatenate([copy[i].ravel() for copy in V]) for i in range(N)])
    return (*map(np.array, (x, y, s, r)), np.array([m.T.ravel() for m in J]), rows)


SETTINGS = {"alpha": 0.1, "gamma": 0.2, "theta": 0.3, "copies": 2, "L": 8.0}
CASES = {"gossip": ("GossipDSBO", gossip, SETTINGS)}
