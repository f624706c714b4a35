"""Agents with different numbers of samples."""

import pytest
import torch
from cases import lazy_ring
from torch.func import grad, jacrev

from dsbo import DIAMOND, DSOBA, Dense, Problem, conformance, hypergrad, keys, run, sweep
from dsbo.keys import generator

LENGTHS = (5, 1, 8, 5)
STEPS = {"alpha": 0.05, "beta": 0.1, "gamma": 0.2, "theta": 0.5}


def fit(x, y, batch):
    a, c = batch
    return (a @ y - c).square().mean() + 0.1 * (x.exp() * y**2).sum()


def shards(seed):
    g = torch.Generator().manual_seed(seed)
    rows = [torch.randn(m, 3, generator=g, dtype=torch.float64) for m in LENGTHS]
    return [(a[:, :2], a[:, 2]) for a in rows]


UPPER, LOWER = shards(0), shards(1)


def problem(batch):
    start = torch.full((2,), 0.5, dtype=torch.float64)
    return Problem.from_losses(fit, fit, start, start, UPPER, LOWER, batch)


def drawn(data, batch, i, t, stream):
    if batch is None:
        return data[i]
    rows = generator(3, i, t, stream).integers(LENGTHS[i], size=batch)
    return tuple(part[rows] for part in data[i])


@pytest.mark.parametrize("batch", [None, 6])
def test_a_run_equals_a_loop_over_agents_that_hold_their_own_rows(batch):
    W, N = torch.from_numpy(lazy_ring(4)), len(LENGTHS)
    x, y = (torch.full((N, 2), 0.5, dtype=torch.float64) for _ in range(2))
    z, h = torch.zeros_like(y), torch.zeros_like(x)
    for t in range(7):
        xi = [drawn(UPPER, batch, i, t, keys.UPPER) for i in range(N)]
        zeta = [drawn(LOWER, batch, i, t, keys.LOWER) for i in range(N)]
        rows = []
        for i in range(N):
            u_x, u_y = grad(fit, (0, 1))(x[i], y[i], xi[i])
            v = grad(fit, 1)(x[i], y[i], zeta[i])
            J = jacrev(grad(fit, 1), 0)(x[i], y[i], zeta[i])
            H = jacrev(grad(fit, 1), 1)(x[i], y[i], zeta[i])
            rows.append((u_x, u_y, v, J.T @ z[i], H @ z[i]))
        u_x, u_y, v, Jz, Hz = map(torch.stack, zip(*rows, strict=True))
        x, y, z = W @ (x - 0.05 * h), W @ (y - 0.1 * v), W @ (z - 0.2 * (Hz - u_y))
        h = 0.5 * h + 0.5 * (u_x - Jz)
    trace = run(DSOBA(**STEPS), problem(batch), Dense(lazy_ring(4)), 7, seed=3)
    for got, want in zip(trace.state, (x, y, z, h), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)
    xbar, ybar = x.mean(0), y.mean(0)
    want = sum(float(fit(xbar, ybar, own)) for own in UPPER) / N
    assert trace["upper_loss"][-1] == pytest.approx(want, abs=1e-12)


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")
@pytest.mark.parametrize(
    ("batch", "how"),
    [(batch, {"chunk": size}) for batch in (None, 6) for size in (1, 3)]
    # Of a batch every agent draws as many rows, and compiling is as for other data.
    + [
        pytest.param(None, {"compile": True}, marks=pytest.mark.fuzz),
        (None, {"chunk": 1, "compile": True}),
    ],
)
def test_chunks_and_compiled_steps_give_the_same(batch, how):
    plain = run(DSOBA(**STEPS), problem(batch), Dense(lazy_ring(4)), 7)
    other = run(DSOBA(**STEPS), problem(batch), Dense(lazy_ring(4)), 7, **how)
    conformance.equals(other.state, plain.state, 1e-12)


@pytest.mark.parametrize("batch", [None, 6])
def test_sweeps_chains_differences_and_hypergradients_take_them(batch):
    own, W = problem(batch), Dense(lazy_ring(4))
    method = DIAMOND(alpha=0.01, beta=0.05, eta=0.5, gamma=0.5, K=3, L=6.0)
    (swept,) = sweep([(method, 2)], own, W, 7)
    conformance.equals(swept.state, run(method, own, W, 7, seed=2).state, 1e-12)
    conformance.check(DSOBA(**STEPS), problem(6), lazy_ring(4))
    run(DSOBA(**STEPS), own.first_order(), W, 2)
    point = [part.expand(4, -1) for part in (own.x0, own.y0)]
    data = [sampler.full(own.everyone()) for sampler in (own.upper, own.lower)]
    exact, cg = (f(own.f, own.g, *point, *data) for f in (hypergrad.exact, hypergrad.cg))
    torch.testing.assert_close(exact, cg)


def test_every_agent_has_the_loss_of_its_own_rows():
    own = problem(None)
    rows = torch.arange(8, dtype=torch.float64).view(4, 2)
    got = own.f.value(rows, rows + 1, own.upper.full(own.everyone()))
    want = [fit(x, x + 1, shard) for x, shard in zip(rows, UPPER, strict=True)]
    torch.testing.assert_close(got, torch.stack(want))


def test_padding_is_not_taken_for_data():
    same = [tuple(part.clone() for part in own) for own in LOWER]
    same[1] = tuple(torch.cat([part, torch.zeros_like(part)]) for part in same[1])
    start = torch.full((2,), 0.5, dtype=torch.float64)
    other = Problem.from_losses(fit, fit, start, start, UPPER, same)
    told = [
        run(DSOBA(**STEPS), p, Dense(lazy_ring(4)), 1).provenance for p in (problem(None), other)
    ]
    assert told[0]["data"] != told[1]["data"]
