"""Kong et al. 2025, Algorithm 1, agent by agent and neighbour by neighbour, in NumPy.

The problem is quadratic, so that the oracles can be typed in by hand:

    f_i = x'Px/2 + x'Qy + y'Ry/2 + p'x + r'y        g_i = y'Ay/2 - y'(Bx + b)
"""

import numpy as np


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
    x = [np.zeros(d) for _ in range(N)]
    y = [np.zeros(p) for _ in range(N)]
    z = [np.zeros(p) for _ in range(N)]
    h = [np.zeros(d) for _ in range(N)]
    for t in range(steps):
        u_x, u_y, v, J, H = zip(
            *(oracles(c, i, x[i], y[i], *noise(i, t)) for i in range(N)), strict=True
        )
        new_x, new_y, new_z, new_h = [], [], [], []
        z_hat = [z[i] - gamma * (H[i] @ z[i] - u_y[i]) for i in range(N)]
        for i in range(N):
            sum_x, sum_y, sum_z = np.zeros(d), np.zeros(p), np.zeros(p)
            for j in range(N):
                sum_x += W[i, j] * (x[j] - alpha * h[j])
                sum_y += W[i, j] * (y[j] - beta * v[j])
                sum_z += W[i, j] * z_hat[j]
            omega = u_x[i] - J[i] @ z[i]
            new_x.append(sum_x)
            new_y.append(sum_y)
            new_z.append(sum_z)
            new_h.append((1 - theta) * h[i] + theta * omega)
        x, y, z, h = new_x, new_y, new_z, new_h
    return np.array(x), np.array(y), np.array(z), np.array(h)


CASES = {"dsoba": ("DSOBA", dsoba, {"alpha": 0.1, "beta": 0.2, "gamma": 0.2, "theta": 0.3})}
