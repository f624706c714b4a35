"""SUSTAIN (Khanduri et al. 2021), one agent with double momentum, in NumPy."""

import numpy as np

from reference.diamond import estimate


def sustain(c, alpha, beta, eta, gamma, K, L, steps, noise, length):
    x = x_old = np.zeros(c["p"].shape[1])
    y = y_old = np.zeros(c["r"].shape[1])
    h_f, h_g = np.zeros_like(x), np.zeros_like(y)
    for t in range(steps):
        draw = noise(0, t), length(0, t), K, L, False
        now, low = estimate(c, 0, x, y, *draw)
        then, low_then = estimate(c, 0, x_old, y_old, *draw)
        h_f = eta * now + (1 - eta) * (h_f + now - then)
        h_g = gamma * low + (1 - gamma) * (h_g + low - low_then)
        x_old, y_old = x, y
        x, y = x - alpha * h_f, y - beta * h_g
    return x, y
