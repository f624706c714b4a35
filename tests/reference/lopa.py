"""LoPA and LoPA-GT, agent by agent and neighbour by neighbour, in NumPy; see dsoba.py."""

import numpy as np

from reference.dsoba import average, oracles


def lopa(c, W, alpha, beta, gamma, theta, steps, noise, tracking=False):
    """noise(i, t) as for dsoba; returns x, y, z, h and u."""
    N, d = c["p"].shape
    q = c["r"].shape[1]
    x, h, u = ([np.zeros(d) for _ in range(N)] for _ in range(3))
    y, z = ([np.zeros(q) for _ in range(N)] for _ in range(2))
    for t in range(steps):
        new_x, new_y, new_z, new_h, new_u = [], [], [], [], []
        for i in range(N):
            u_x, u_y, v, J, H = oracles(c, i, x[i], y[i], *noise(i, t))
            new_h.append((1 - theta) * h[i] + theta * (u_x - J @ z[i]))
            new_u.append(average(W, u, i) + new_h[i] - h[i] if tracking else new_h[i])
            new_x.append(average(W, x, i) - alpha * new_u[i])
            new_y.append(y[i] - beta * v)
            new_z.append(z[i] - gamma * (H @ z[i] - u_y))
        x, y, z, h, u = new_x, new_y, new_z, new_h, new_u
    return tuple(np.array(part) for part in (x, y, z, h, u))


def lopa_gt(c, W, **settings):
    return lopa(c, W, **settings, tracking=True)


SETTINGS = {"alpha": 0.1, "beta": 0.2, "gamma": 0.2, "theta": 0.3}
CASES = {"lopa": ("LOPA", lopa, SETTINGS), "lopa gt": ("LOPAGT", lopa_gt, SETTINGS)}
