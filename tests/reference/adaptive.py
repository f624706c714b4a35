"""AdaSDBO with and without tracking, agent by agent, in NumPy; the problem as in dsoba.py."""

import numpy as np


def directions(c, i, x, y, z, noise):
    u_x = c["P"][i] @ x + c["Q"][i] @ y + c["p"][i] + noise[0]
    u_y = c["Q"][i].T @ x + c["R"][i] @ y + c["r"][i] + noise[1]
    v = c["A"][i] @ y - c["B"][i] @ x - c["b"][i] + noise[2]
    return [u_x + c["B"][i].T @ z, v, c["A"][i] @ z - u_y]


def adaptive(c, W, constant, tracking, steps, noise):
    """noise(i, t) as for dsoba; returns x, y, z and the three sums of squared norms."""
    N, d = c["p"].shape
    p = c["r"].shape[1]
    S = [[np.zeros(k) for k in (d, p, p)] for _ in range(N)]
    M = [[1.0, 1.0, 1.0] for _ in range(N)]
    T = old = None
    for t in range(steps):
        D = [directions(c, i, *S[i], noise(i, t)) for i in range(N)]
        if T is None or not tracking:
            T = D
        else:
            T = [
                [sum(W[i, j] * T[j][s] for j in range(N)) + D[i][s] - old[i][s] for s in range(3)]
                for i in range(N)
            ]
        old = D
        stepped, grown = [], []
        for i in range(N):
            m_x, m_y, m_z = (M[i][s] + np.dot(T[i][s], T[i][s]) for s in range(3))
            slow = max(np.sqrt(m_y), np.sqrt(m_z))
            sizes = 1 / (np.sqrt(m_x) * slow), 1 / np.sqrt(m_y), 1 / slow
            stepped.append([S[i][s] - constant * sizes[s] * T[i][s] for s in range(3)])
            grown.append([m_x, m_y, m_z])
        S = [[sum(W[i, j] * stepped[j][s] for j in range(N)) for s in range(3)] for i in range(N)]
        M = [[sum(W[i, j] * grown[j][s] for j in range(N)) for s in range(3)] for i in range(N)]
    return (
        *(np.array([S[i][s] for i in range(N)]) for s in range(3)),
        *(np.array([[M[i][s]] for i in range(N)]) for s in range(3)),
    )


def untracked(problem, W, c, steps, noise):
    return adaptive(problem, W, c, False, steps, noise)


def tracked(problem, W, c, steps, noise):
    return adaptive(problem, W, c, True, steps, noise)


CASES = {
    "adasdbo": ("AdaSDBO", untracked, {"c": 1.5}),
    "adasdbo-gt": ("AdaSDBOGT", tracked, {"c": 1.5}),
}
