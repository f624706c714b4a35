"""DSBO, agent by agent and neighbour by neighbour, in NumPy; the problem as in dsoba.py."""

import numpy as np

from reference.dsoba import average, oracles


def dsbo(c, W, alpha, beta, gamma, T_y, T_Q, steps, noise, inner):
    """inner(i, t, K) as for madsbo; returns x, y and the rows of Q."""
    N, d = c["p"].shape
    q = c["r"].shape[1]
    x = [np.zeros(d) for _ in range(N)]
    y = [np.zeros(q) for _ in range(N)]
    Q = [np.zeros((q, d)) for _ in range(N)]
    for t in range(steps):
        lower = [inner(i, t, T_y)[2] for i in range(N)]
        for k in range(T_y):
            v = [c["A"][i] @ y[i] - c["B"][i] @ x[i] - c["b"][i] + lower[i][k] for i in range(N)]
            y = [average(W, y, i) - beta * v[i] for i in range(N)]
        D, S_old = [np.zeros((q, d)) for _ in range(N)], [np.zeros((q, d)) for _ in range(N)]
        for _ in range(T_Q):
            S = [c["A"][i] @ Q[i] + c["B"][i] for i in range(N)]  # J = -B'
            D = [average(W, D, i) + S[i] - S_old[i] for i in range(N)]
            Q = [average(W, Q, i) - gamma * D[i] for i in range(N)]
            S_old = S
        new_x = []
        for i in range(N):
            u_x, u_y, *_ = oracles(c, i, x[i], y[i], *noise(i, t))
            new_x.append(average(W, x, i) - alpha * (u_x - Q[i].T @ u_y))
        x = new_x
    return np.array(x), np.array(y), np.array([matrix.ravel() for matrix in Q])


SETTINGS = {"alpha": 0.1, "beta": 0.2, "gamma": 0.05, "T_y": 3, "T_Q": 2}
CASES = {"dsbo": ("DSBO", dsbo, SETTINGS)}
