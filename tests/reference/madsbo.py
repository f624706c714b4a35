"""MA-DSBO, agent by agent and neighbour by neighbour, in NumPy; the problem as in dsoba.py."""

import numpy as np

from reference.dsoba import average


def madsbo(c, W, alpha, beta, gamma, theta, T_y, T_z, steps, noise, inner):
    """noise(i, t) as for dsoba; inner(i, t, K) returns K of its kind for an inner loop."""
    N, d = c["p"].shape
    q = c["r"].shape[1]
    x, h = ([np.zeros(d) for _ in range(N)] for _ in range(2))
    y, z = ([np.zeros(q) for _ in range(N)] for _ in range(2))
    for t in range(steps):
        lower = [inner(i, t, T_y + T_z)[2] for i in range(N)]
        upper = [inner(i, t, T_z)[1] for i in range(N)]
        for k in range(T_y):
            v = [c["A"][i] @ y[i] - c["B"][i] @ x[i] - c["b"][i] + lower[i][k] for i in range(N)]
            y = [average(W, y, i) - beta * v[i] for i in range(N)]
        d_track, s_old = None, None
        for k in range(T_z):
            s = []
            for i in range(N):
                u_y = c["Q"][i].T @ x[i] + c["R"][i] @ y[i] + c["r"][i] + upper[i][k]
                s.append(c["A"][i] @ z[i] - u_y)
            moved = [average(W, d_track, i) + s[i] - s_old[i] for i in range(N)] if k else s
            z = [average(W, z, i) - gamma * moved[i] for i in range(N)]
            d_track, s_old = moved, s
        new_x, new_h = [], []
        for i in range(N):
            noise_x, _, _ = noise(i, t)
            u_x = c["P"][i] @ x[i] + c["Q"][i] @ y[i] + c["p"][i] + noise_x
            new_h.append((1 - theta) * h[i] + theta * (u_x + c["B"][i].T @ z[i]))
            new_x.append(average(W, x, i) - alpha * h[i])
        x, h = new_x, new_h
    return tuple(np.array(part) for part in (x, y, z, h))


SETTINGS = {"alpha": 0.1, "beta": 0.2, "gamma": 0.05, "theta": 0.3, "T_y": 3, "T_z": 2}
CASES = {"madsbo": ("MADSBO", madsbo, SETTINGS)}
