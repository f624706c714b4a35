"""The penalty method with two lower copies, agent by agent, in NumPy; see dsoba.py, sparkle.py."""

import numpy as np

from reference.sparkle import matrices, move


def directions(c, i, x, y, y_lam, lam, draw):
    """The directions of agent i; the noise of its one lower sample is the same at both copies."""
    e_x, e_y, e_v = draw
    B = c["B"][i]
    u_x = c["P"][i] @ x + c["Q"][i] @ y_lam + c["p"][i] + e_x
    u_y = c["Q"][i].T @ x + c["R"][i] @ y_lam + c["r"][i] + e_y
    v, v_lam = (c["A"][i] @ own - B @ x - c["b"][i] + e_v for own in (y, y_lam))
    return u_x + lam * (-B.T @ y_lam + B.T @ y), v, v_lam + u_y / lam


def penalty(c, W, alpha, beta, lam, strategy, steps, noise):
    """noise(i, t) as for dsoba; returns x and both copies. lam is a number or a function of t.

    Besides SPARKLE's strategies there is "plain", mixing as in D-SOBA.
    """
    N, d = c["p"].shape
    p = c["r"].shape[1]
    w = [np.zeros((N, width)) for width in (d, p, p)]
    G, D = ([np.zeros_like(s) for s in w] for _ in range(2))
    ABC = (W, 0 * W, np.eye(N)) if strategy == "plain" else matrices(W, strategy)
    for t in range(steps):
        weight = lam(t) if callable(lam) else lam
        for i in range(N):
            found = directions(c, i, *(s[i] for s in w), weight, noise(i, t))
            for s in range(3):
                G[s][i] = found[s]
        moved = [move(ABC, w[s], D[s], G[s], a) for s, a in enumerate((alpha, beta, beta))]
        w, D = (list(part) for part in zip(*moved, strict=True))
    return tuple(w)


STEPS = {"alpha": 0.1, "beta": 0.2, "lam": 10.0}
CASES = {
    f"d-f2sa {name}": ("DF2SA", penalty, STEPS | {"strategy": name})
    for name in ("ED", "EXTRA", "ATC-GT", "semi-ATC-GT", "non-ATC-GT")
}
