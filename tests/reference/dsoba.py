"""Kong et al. 2025, Algorithm 1, agent by agent and neighbour by neighbour, in NumPy.

The problem is quadratic, so that the oracles can be typed in by hand:

    f_i = x'Px/2 + x'Qy + y'Ry/2 + p'x + r'y        g_i = y'Ay/2 - y'(Bx + b)
"""

import numpy as np


def average(W, rows, i):
    total = np.zeros_like(rows[i])
    for j in range(len(rows)):
        total += W[i, j] * rows[j]
    return total


def oracles(c, i, x, y, noise_x, noise_y, noise_v):
    u_x = c["P"][i] @ x + c["Q"][i] @ y + c["p"][i] + noise_x
    u_y = c["Q"][i].T @ x + c["R"][i] @ y + c["r"][i] + noise_y
    v = c["A"][i] @ y - c["B"][i] @ x - c["b"][i] + noise_v
    J = -c["B"][i].T
    H = c["A"][i]
    return u_x, u_y, v, J, H


def dsoba(c, W, alpha, beta, gamma, theta, steps, noise):
    """noise(i, t) returns the noise on the two upper gradients and the lower one."""
    N, d = c["p"].shape
    p = c["r"].shape[1]
    x, h = ([np.zeros(d) for _ in range(N)] for _ in range(2))
    y, z = ([np.zeros(p) for _ in range(N)] for _ in range(2))
    for t in range(steps):
        moved_x, moved_y, moved_z, new_h = [], [], [], []
        for i in range(N):
            u_x, u_y, v, J, H = oracles(c, i, x[i], y[i], *noise(i, t))
            moved_x.append(x[i] - alpha * h[i])
            moved_y.append(y[i] - beta * v)
            moved_z.append(z[i] - gamma * (H @ z[i] - u_y))
            new_h.append((1 - theta) * h[i] + theta * (u_x - J @ z[i]))
        x = [average(W, moved_x, i) for i in range(N)]
        y = [average(W, moved_y, i) for i in range(N)]
        z = [average(W, moved_z, i) for i in range(N)]
        h = new_h
    return np.array(x), np.array(y), np.array(z), np.array(h)


CASES = {"dsoba": ("DSOBA", dsoba, {"alpha": 0.1, "beta": 0.2, "gamma": 0.2, "theta": 0.3})}
