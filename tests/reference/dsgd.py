"""The three methods that Qiu et al. 2023, section VI, compare with, indices repaired, in NumPy."""

import numpy as np

from reference.diamond import diamond, estimate


def msgd(c, W, **settings):
    """DIAMOND whose x steps along p itself."""
    return diamond(c, W, **settings, tracking=False)


def gtsgd(c, W, alpha, beta, K, L, steps, noise, length, full_sum=False):
    """Gradient tracking of fresh estimates; the previous one is remembered, not computed again."""
    return _plain(c, W, alpha, beta, K, L, steps, noise, length, full_sum, tracking=True)


def dsgd(c, W, alpha, beta, K, L, steps, noise, length, full_sum=False):
    """Every agent averages its neighbours' x and steps along its fresh estimate."""
    return _plain(c, W, alpha, beta, K, L, steps, noise, length, full_sum, tracking=False)


def _plain(c, W, alpha, beta, K, L, steps, noise, length, full_sum, tracking):
    N, d = c["p"].shape
    x = [np.zeros(d) for _ in range(N)]
    y = [np.zeros(c["r"].shape[1]) for _ in range(N)]
    u = [np.zeros(d) for _ in range(N)]
    before = [np.zeros(d) for _ in range(N)]
    for t in range(steps):
        fresh, new_u, new_x, new_y = [], [], [], []
        for i in range(N):
            noise_x, noise_y, noise_v = noise(i, t)
            k = length(i, t)
            fresh.append(estimate(c, i, x[i], y[i], noise_x, noise_y, k, K, L, full_sum))
            v = c["A"][i] @ y[i] - c["B"][i] @ x[i] - c["b"][i] + noise_v
            new_y.append(y[i] - beta * v)
        for i in range(N):
            sum_x, sum_u = np.zeros(d), np.zeros(d)
            for j in range(N):
                sum_x += W[i, j] * x[j]
                sum_u += W[i, j] * u[j]
            new_u.append(sum_u + fresh[i] - before[i] if tracking else fresh[i])
            new_x.append(sum_x - alpha * new_u[i])
        x, y, u, before = new_x, new_y, new_u, fresh
    return np.array(x), np.array(y)


SETTINGS = {"alpha": 0.1, "beta": 0.2, "K": 8, "L": 8.0}
CASES = {
    "msgd": ("MSGD", msgd, {**SETTINGS, "eta": 0.3, "gamma": 0.4}),
    "gtsgd": ("GTSGD", gtsgd, SETTINGS),
    "dsgd": ("DSGD", dsgd, SETTINGS),
}
