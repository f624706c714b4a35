"""Qiu et al. 2023, Algorithm 1, agent by agent and neighbour by neighbour, in NumPy.

The problem is quadratic, so that the oracles can be typed in by hand; see dsoba.py. Its Hessians
carry no noise, so of a chain's samples only the length k matters.
"""

import numpy as np

from reference.dsoba import average, oracles


def estimate(c, i, x, y, noise, k, K, L, full_sum):
    """Equation (5), each product of the series multiplied out on its own, and the gradient of g."""
    u_x, u_y, v, J, H = oracles(c, i, x, y, *noise)
    factor = np.eye(len(y)) - H / L
    if full_sum:
        series = sum(np.linalg.matrix_power(factor, j) for j in range(K)) / L
    else:
        series = K / L * np.linalg.matrix_power(factor, k)
    return u_x - J @ series @ u_y, v


def diamond(
    c, W, alpha, beta, eta, gamma, K, L, steps, noise, length, full_sum=False, tracking=True,
    lower_steps=1, inner=None,
):  # fmt: skip
    """noise(i, t) returns that of the two upper gradients and the lower one, length(i, t) k.

    inner(i, t, B) gives B noises of the lower steps before the last.
    """
    N, d = c["p"].shape
    q = c["r"].shape[1]
    x, p, u = ([np.zeros(d) for _ in range(N)] for _ in range(3))
    y, v = ([np.zeros(q) for _ in range(N)] for _ in range(2))
    x_old, y_old = list(x), list(y)
    for t in range(steps):
        new_p, new_v, new_u, new_x, new_y = [], [], [], [], []
        for i in range(N):
            for b in range(lower_steps - 1):
                slope = c["A"][i] @ y[i] - c["B"][i] @ x[i] - c["b"][i]
                y[i] = y[i] - beta * (slope + inner(i, t, lower_steps - 1)[2][b])
        for i in range(N):
            draw = noise(i, t), length(i, t), K, L, full_sum
            upper, lower = estimate(c, i, x[i], y[i], *draw)
            upper_old, lower_old = estimate(c, i, x_old[i], y_old[i], *draw)
            new_p.append(upper + (1 - eta) * (p[i] - upper_old))
            new_v.append(lower + (1 - gamma) * (v[i] - lower_old))
        for i in range(N):
            new_u.append(average(W, u, i) + new_p[i] - p[i] if tracking else new_p[i])
            new_x.append(average(W, x, i) - alpha * new_u[i])
            new_y.append(y[i] - beta * new_v[i])
        x_old, y_old = x, y
        x, y, p, v, u = new_x, new_y, new_p, new_v, new_u
    return tuple(np.array(part) for part in (x, y, p, v, u, x_old, y_old))


SETTINGS = {"alpha": 0.1, "beta": 0.2, "K": 8, "L": 8.0, "eta": 0.3, "gamma": 0.4}
CASES = {
    "diamond": ("DIAMOND", diamond, SETTINGS),
    "diamond full sum": ("DIAMOND", diamond, {**SETTINGS, "full_sum": True}),
    "diamond inner": ("DIAMOND", diamond, {**SETTINGS, "inner": 3}),
}
