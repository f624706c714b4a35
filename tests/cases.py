"""Problems and weights that several test files use."""

import numpy as np
import torch

from dsbo import graphs, keys, mixing
from dsbo.problems import Problem, Quadratic

STEPS = {"alpha": 0.1, "beta": 0.2, "gamma": 0.2}


def coefficients(N=5, d=3, p=4, **kwargs):
    """The coefficients of a random problem, by their letters."""
    each = Quadratic.random(N, d, p, **kwargs).coefficients(shared=False)
    return {name: part.numpy() for name, part in each.items()}


def quadratic(noise=0.0, **kwargs):
    c = coefficients(**kwargs)
    return c, Quadratic(**c, noise=noise)


def t2():
    """f = (y - t)²/2 + x²/4 and g = a (y - c x - e)²/2, without the constants."""
    values = [0.5, 1, 1.5, 2], [1, 0.5, 1, 1.5], [-1, 0, 1, 2], [4, 1, 0, 1]
    a, c, e, t = torch.tensor(values, dtype=torch.float64)
    one = torch.ones(len(a), 1, 1, dtype=torch.float64)
    return Quadratic(
        P=0.5 * one,
        Q=0 * one,
        R=one,
        p=0 * one[:, 0],
        r=-t[:, None],
        A=a[:, None, None],
        B=(a * c)[:, None, None],
        b=(a * e)[:, None],
    )


def tanh_problem(N):
    """A problem by automatic differentiation, whose batched products depend on the batch."""

    def upper(x, y, batch):
        a, c = batch
        return (torch.sigmoid(a @ y) - c).square().mean() + x.square().sum()

    def lower(x, y, batch):
        a, c = batch
        return (torch.tanh(a @ y) - c).square().mean() + (x.exp() * y.square()).sum()

    g = torch.Generator().manual_seed(0)
    a = torch.randn(N, 30, 11, dtype=torch.float64, generator=g)
    c = torch.rand(N, 30, dtype=torch.float64, generator=g)
    data = list(zip(a, c, strict=True))
    start = torch.zeros(11, dtype=torch.float64)
    return Problem.from_losses(upper, lower, start, start, data, data[::-1], batch=7)


def doubly_stochastic(N, seed, directed):
    """A random convex combination of permutations; symmetric if not directed."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(4))
    shifts = [np.eye(N), np.roll(np.eye(N), 1, axis=0)]
    shifts += [np.eye(N)[rng.permutation(N)] for _ in range(2)]
    W = sum(s * m for s, m in zip(shares, shifts, strict=True))
    return W if directed else (W + W.T) / 2


def lazy_ring(N):
    return mixing.uniform(graphs.ring(N), self_weight=0.5)


def drawn_noise(seed, scale, d, p):
    """The noise of `Quadratic`, drawn again by hand from the keys."""

    def noise(i, t):
        up = keys.generator(seed, i, t, keys.UPPER).standard_normal(d + p) * scale
        low = keys.generator(seed, i, t, keys.LOWER).standard_normal(d + p)[d:] * scale
        return up[:d], up[d:], low

    return noise


def drawn_inner(seed, scale, d, p):
    """The noise of K samples of an inner loop, drawn again by hand from the keys."""

    def inner(i, t, K):
        up, low = (
            keys.generator(seed, i, t, stream).standard_normal((K, d + p)) * scale
            for stream in (keys.UPPER_LOOP, keys.LOWER_LOOP)
        )
        return up[:, :d], up[:, d:], low[:, d:]

    return inner


def drawn_length(seed, K):
    """The length of an agent's Neumann chain, drawn again by hand from the keys."""
    return lambda i, t: int(keys.generator(seed, i, t, keys.CHAIN).integers(K))


def equal_to_rounding(got, want, name=""):
    """Compare what differs by the order of sums alone: to 1e-14 of the largest entry, or of 1."""
    for a, b in zip(got, want, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        scale = max(1.0, np.abs(b).max())
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-14 * scale, err_msg=str(name))
