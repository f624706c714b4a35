"""Dagréou et al. 2022 on the mean of the agents' losses, all directions at the old point."""

import numpy as np

from reference.dsoba import oracles


def soba(c, _, alpha, beta, gamma, theta, steps, noise):
    """theta=None steps along the newest direction; no weights: everything is averaged."""
    N, d = c["p"].shape
    p = c["r"].shape[1]
    x, y, z, h = np.zeros(d), np.zeros(p), np.zeros(p), np.zeros(d)
    for t in range(steps):
        D_x, D_y, D_z = np.zeros(d), np.zeros(p), np.zeros(p)
        for i in range(N):
            u_x, u_y, v, J, H = oracles(c, i, x, y, *noise(i, t))
            D_x += (u_x - J @ z) / N
            D_y += v / N
            D_z += (H @ z - u_y) / N
        if theta is None:
            x = x - alpha * D_x
        else:
            x, h = x - alpha * h, (1 - theta) * h + theta * D_x
        y = y - beta * D_y
        z = z - gamma * D_z
    return tuple(np.tile(v, (N, 1)) for v in (x, y, z, h))


STEPS = {"alpha": 0.1, "beta": 0.2, "gamma": 0.2}
CASES = {
    "soba": ("SOBA", soba, {**STEPS, "theta": None}),
    "soba averaged": ("SOBA", soba, {**STEPS, "theta": 0.3}),
}
