"""INTERACT and SVR-INTERACT, agent by agent, in NumPy; the problem as in dsoba.py."""

import numpy as np

from reference.diamond import estimate
from reference.dsgd import gtsgd
from reference.dsoba import average


def interact(c, W, **settings):
    """Tracking of fresh estimates with the whole series."""
    return gtsgd(c, W, **settings, full_sum=True)


def svr_interact(c, W, alpha, beta, K, L, q, steps, noise, inner, **_):
    """inner(i, t, B) gives B noises of a restart; lengths do not matter to the whole series."""
    N, d = c["p"].shape
    x, p, u = ([np.zeros(d) for _ in range(N)] for _ in range(3))
    y, v = ([np.zeros(c["r"].shape[1]) for _ in range(N)] for _ in range(2))
    x_old, y_old = x, y

    def both(i, x, y, draw):
        return estimate(c, i, x, y, draw, 0, K, L, full_sum=True)

    for t in range(steps):
        new_p, new_v, new_u, new_x, new_y = [], [], [], [], []
        for i in range(N):
            if t % q == 0:
                draws = list(zip(*inner(i, t, q), strict=True))
                found = [both(i, x[i], y[i], draw) for draw in draws]
                new_p.append(sum(own for own, _ in found) / q)
                new_v.append(sum(low for _, low in found) / q)
            else:
                here = both(i, x[i], y[i], noise(i, t))
                there = both(i, x_old[i], y_old[i], noise(i, t))
                new_p.append(p[i] + here[0] - there[0])
                new_v.append(v[i] + here[1] - there[1])
        for i in range(N):
            new_u.append(average(W, u, i) + new_p[i] - p[i])
            new_x.append(average(W, x, i) - alpha * new_u[i])
            new_y.append(y[i] - beta * new_v[i])
        x_old, y_old = x, y
        x, y, p, v, u = new_x, new_y, new_p, new_v, new_u
    return tuple(np.array(part) for part in (x, y, p, v, u, x_old, y_old))


SETTINGS = {"alpha": 0.1, "beta": 0.2, "K": 8, "L": 8.0}
CASES = {
    "interact": ("INTERACT", interact, SETTINGS),
    "interact inner": ("INTERACT", interact, {**SETTINGS, "inner": 2}),
    "svr interact": ("SVRINTERACT", svr_interact, {**SETTINGS, "q": 3}),
}
