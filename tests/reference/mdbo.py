"""MDBO and VRDBO, agent by agent and neighbour by neighbour, in NumPy; see diamond.py."""

import numpy as np

from reference.diamond import estimate
from reference.dsoba import average


def mdbo(
    c, W, alpha, beta, eta, gamma, K, L, steps, noise, length,
    full_sum=False, relaxation=1.0, recursive=False,
):  # fmt: skip
    """noise(i, t) returns that of the two upper gradients and the lower one, length(i, t) k."""
    N, d = c["p"].shape
    q = c["r"].shape[1]
    x, u, p = ([np.zeros(d) for _ in range(N)] for _ in range(3))
    y, v, s = ([np.zeros(q) for _ in range(N)] for _ in range(3))
    x_old, y_old = list(x), list(y)
    for t in range(steps):
        new_u, new_v = [], []
        for i in range(N):
            draw = noise(i, t), length(i, t), K, L, full_sum
            upper, lower = estimate(c, i, x[i], y[i], *draw)
            change_u, change_v = np.zeros(d), np.zeros(q)
            if recursive:
                upper_old, lower_old = estimate(c, i, x_old[i], y_old[i], *draw)
                change_u, change_v = upper - upper_old, lower - lower_old
            if t == 0:  # plain first estimates
                new_u.append(upper)
                new_v.append(lower)
                continue
            new_u.append((1 - eta) * (u[i] + change_u) + eta * upper)
            new_v.append((1 - gamma) * (v[i] + change_v) + gamma * lower)
        new_p, new_s, new_x, new_y = [], [], [], []
        for i in range(N):
            new_p.append(average(W, p, i) + new_u[i] - u[i])
            new_s.append(average(W, s, i) + new_v[i] - v[i])
            step_x = average(W, x, i) - alpha * new_p[i]
            step_y = average(W, y, i) - beta * new_s[i]
            new_x.append((1 - relaxation) * x[i] + relaxation * step_x)
            new_y.append((1 - relaxation) * y[i] + relaxation * step_y)
        x_old, y_old = x, y
        x, y, u, v, p, s = new_x, new_y, new_u, new_v, new_p, new_s
    return tuple(np.array(part) for part in (x, y, u, v, p, s, x_old, y_old))


def vrdbo(*args, **kwargs):
    return mdbo(*args, **kwargs, recursive=True)


SETTINGS = {"alpha": 0.1, "beta": 0.2, "K": 8, "L": 8.0, "eta": 0.3, "gamma": 0.4}
CASES = {
    "mdbo": ("MDBO", mdbo, SETTINGS),
    "mdbo relaxed": ("MDBO", mdbo, {**SETTINGS, "relaxation": 0.6}),
    "vrdbo": ("VRDBO", vrdbo, SETTINGS),
}
