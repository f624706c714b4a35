"""SUSTAIN (Khanduri et al. 2021), one agent with double momentum, in NumPy."""

import numpy as np

from reference.diamond import estimate


def sustain(c, alpha, beta, eta, gamma, K, L, steps, noise, length):
    x = x_old = np.zeros(c["p"].shape[1])
    y = y_old = np.zeros(c["r"].shape[1])
    h_f, h_g = np.zeros_like(x), np.zeros_like(y)
    for t in range(steps):
        noise_x, noise_y, noise_v = noise(0, t)
        k = length(0, t)
        now, then = (
            estimate(c, 0, a, b, noise_x, noise_y, k, K, L, False)
            for a, b in ((x, y), (x_old, y_old))
        )
        low, low_then = (
            c["A"][0] @ b - c["B"][0] @ a - c["b"][0] + noise_v for a, b in ((x, y), (x_old, y_old))
        )
        h_f = eta * now + (1 - eta) * (h_f + now - then)
        h_g = gamma * low + (1 - gamma) * (h_g + low - low_then)
        x_old, y_old = x, y
        x, y = x - alpha * h_f, y - beta * h_g
    return x, y
