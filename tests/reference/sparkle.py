"""SPARKLE in its A, B, C form with dual variables, in NumPy; the problem as in dsoba.py."""

import numpy as np


def root(M):
    """The symmetric root of a symmetric positive semi-definite matrix."""
    values, vectors = np.linalg.eigh(M)
    return vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T


def matrices(W, strategy):
    one = np.eye(len(W))
    return {
        "ED": lambda: (W, root(one - W), one),
        "EXTRA": lambda: (one, root(one - W), W),
        "ATC-GT": lambda: (W @ W, one - W, one),
        "semi-ATC-GT": lambda: (W, one - W, W),
        "non-ATC-GT": lambda: (one, one - W, W @ W),
    }[strategy]()


def move(ABC, S, D, G, a):
    A, B, C = ABC
    S = A @ (C @ S - a * G) - B @ D
    return S, D + B @ S


def sparkle(c, W, alpha, beta, gamma, theta, upper, lower, auxiliary, steps, noise):
    """noise(i, t) as for dsoba. W is one matrix, or one each for x, y and z; returns x, y, z, h."""
    W_x, W_y, W_z = W if np.ndim(W) == 3 else (W, W, W)
    N, d = c["p"].shape
    p = c["r"].shape[1]
    x, h, D_x = np.zeros((N, d)), np.zeros((N, d)), np.zeros((N, d))
    y, z, D_y, D_z = (np.zeros((N, p)) for _ in range(4))
    for t in range(steps):
        v, P, U = np.zeros((N, p)), np.zeros((N, p)), np.zeros((N, d))
        for i in range(N):
            v[i] = c["A"][i] @ y[i] - c["B"][i] @ x[i] - c["b"][i] + noise(i, t)[2]
        y, D_y = move(matrices(W_y, lower), y, D_y, v, beta)
        for i in range(N):
            u_y = c["Q"][i].T @ x[i] + c["R"][i] @ y[i] + c["r"][i] + noise(i, t)[1]
            P[i] = c["A"][i] @ z[i] - u_y
        z, D_z = move(matrices(W_z, auxiliary), z, D_z, P, gamma)
        for i in range(N):
            u_x = c["P"][i] @ x[i] + c["Q"][i] @ y[i] + c["p"][i] + noise(i, t)[0]
            U[i] = u_x + c["B"][i].T @ z[i]
        h = (1 - theta) * h + theta * U
        x, D_x = move(matrices(W_x, upper), x, D_x, h, alpha)
    return x, y, z, h


STEPS = {"alpha": 0.1, "beta": 0.2, "gamma": 0.2, "theta": 0.3}
LEVELS = "upper", "lower", "auxiliary"
MIXTURES = {
    "ED": ("ED", "ED", "ED"),
    "EXTRA": ("EXTRA", "EXTRA", "EXTRA"),
    "ATC": ("ATC-GT", "ATC-GT", "ATC-GT"),
    "GT": ("non-ATC-GT", "semi-ATC-GT", "ATC-GT"),
    "mixed": ("semi-ATC-GT", "ED", "EXTRA"),
    "mixed GT": ("EXTRA", "non-ATC-GT", "semi-ATC-GT"),
}
CASES = {
    f"sparkle {name}": ("SPARKLE", sparkle, STEPS | dict(zip(LEVELS, those, strict=True)))
    for name, those in MIXTURES.items()
}
