"""SLAM with its multipliers on links, in NumPy; the problem as in dsoba.py."""

import numpy as np

from reference.diamond import estimate


def slam(c, W, alpha, beta, K, L, steps, noise, length, full_sum=False):
    """Multipliers enter only as the sums a of I - W = penalty times Laplacian, one row an agent."""
    N, d = c["p"].shape
    x, y = np.zeros((N, d)), np.zeros((N, c["r"].shape[1]))
    a_x, a_y = np.zeros_like(x), np.zeros_like(y)
    for t in range(steps):
        q, v = np.zeros_like(x), np.zeros_like(y)
        for i in range(N):
            draw = noise(i, t), length(i, t), K, L, full_sum
            q[i], v[i] = estimate(c, i, x[i], y[i], *draw)
        penalty_x, penalty_y = np.zeros_like(x), np.zeros_like(y)
        for i in range(N):
            for j in range(N):
                penalty_x[i] += W[i, j] * (x[i] - x[j])
                penalty_y[i] += W[i, j] * (y[i] - y[j])
        a_x, a_y = a_x + penalty_x, a_y + penalty_y
        x, y = x - alpha * q - penalty_x - a_x, y - beta * v - penalty_y - a_y
    return x, y, a_x, a_y


CASES = {"slam": ("SLAM", slam, {"alpha": 0.1, "beta": 0.2, "K": 8, "L": 8.0})}
