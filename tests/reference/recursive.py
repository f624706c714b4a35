"""STORM and SARAH on SOBA's directions, agent by agent, in NumPy; see dsoba.py and sparkle.py."""

import numpy as np

from reference.sparkle import LEVELS, MIXTURES, matrices, move


def directions(c, i, x, y, z, draw):
    """The directions of agent i with the noise of one sample."""
    e_x, e_y, e_v = draw
    u_x = c["P"][i] @ x + c["Q"][i] @ y + c["p"][i] + e_x
    u_y = c["Q"][i].T @ x + c["R"][i] @ y + c["r"][i] + e_y
    v = c["A"][i] @ y - c["B"][i] @ x - c["b"][i] + e_v
    return u_x + c["B"][i].T @ z, v, c["A"][i] @ z - u_y


def recursive(
    c, W, alpha, beta, gamma, upper, lower, auxiliary, steps, noise,
    eta_x=0.0, eta_y=0.0, eta_z=0.0, q=None, inner=None,
):  # fmt: skip
    """noise(i, t) as for dsoba; inner(i, t, q) gives the q noises of a restart."""
    N, d = c["p"].shape
    p = c["r"].shape[1]
    frames = [matrices(W, strategy) for strategy in (upper, lower, auxiliary)]
    w = [np.zeros((N, width)) for width in (d, p, p)]
    m, D, old = ([np.zeros_like(s) for s in w] for _ in range(3))
    for t in range(steps):
        new_m = [np.zeros_like(s) for s in w]
        for i in range(N):
            here, there = ([s[i] for s in point] for point in (w, old))
            if q and t % q == 0:
                draws = list(zip(*inner(i, t, q), strict=True))
                found = [directions(c, i, *here, draw) for draw in draws]
                for s in range(3):
                    new_m[s][i] = sum(own[s] for own in found) / q
                continue
            now = directions(c, i, *here, noise(i, t))
            before = directions(c, i, *there, noise(i, t))
            for s, eta in enumerate((eta_x, eta_y, eta_z)):
                new_m[s][i] = now[s] + (1 - eta) * (m[s][i] - before[s])
        m, old = new_m, w
        sized = zip(frames, w, D, m, (alpha, beta, gamma), strict=True)
        w, D = zip(*(move(*level) for level in sized), strict=True)
    return *w, *m


STEPS = {"alpha": 0.1, "beta": 0.2, "gamma": 0.2}
ETAS = {"eta_x": 0.3, "eta_y": 0.4, "eta_z": 0.5}
CASES = {
    f"{kind} {name}": (method, recursive, STEPS | own | dict(zip(LEVELS, those, strict=True)))
    for kind, method, own in (("storm", "STORMSOBA", ETAS), ("srba", "SRBA", {"q": 3}))
    for name, those in MIXTURES.items()
    if name in ("ED", "GT", "mixed GT")
}
