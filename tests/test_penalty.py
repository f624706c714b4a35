"""The penalty method: where it rests, what it costs, and that it is first-order D-SOBA."""

import numpy as np
import pytest
import torch
from cases import lazy_ring, quadratic, t2, tanh_problem
from reference.penalty import penalty

from dsbo import DF2SA, Dense, PerLevel, graphs, mixing, run
from dsbo.algorithms.reconstructed.sparkle import STRATEGIES
from dsbo.problems import Quadratic
from dsbo.world import Draws

STEPS = {"alpha": 0.05, "beta": 0.1}


def t1():
    """f = (y - t)²/2 + x²/4 and g = (y - x - e)²/2, without the constants."""
    e, t = torch.tensor([[-1, 0, 1, 2], [3, 1, -1, 1]], dtype=torch.float64)[:, :, None]
    one = torch.ones(4, 1, 1, dtype=torch.float64)
    return Quadratic(P=0.5 * one, Q=0 * one, R=one, p=0 * e, r=-t, A=one, B=one, b=e)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("problem", "x"), [(t1(), 0.3225806452), (t2(), 0.3142857143)])
def test_every_strategy_rests_at_the_minimiser_of_the_penalised_function(strategy, problem, x):
    method = DF2SA(0.1, 0.2, lam=10, strategy=strategy)
    state = run(method, problem, Dense(lazy_ring(4)), 800, every=800).state
    np.testing.assert_allclose(state.x, x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("lam", [10.0, 100.0, 1000.0])
def test_the_distance_to_the_solution_is_known_and_falls_with_the_penalty(lam):
    state = run(DF2SA(0.1, 0.2, lam), t2(), Dense(lazy_ring(4)), 800, every=800).state
    np.testing.assert_allclose(state.x, 0.6875 * lam / (2.1375 * lam + 0.5), rtol=0, atol=1e-10)


def test_without_mixing_that_corrects_it_rests_elsewhere():
    """By the naive loop, since the class has no such strategy."""
    c = {name: part.numpy() for name, part in t2().coefficients(shared=False).items()}
    steps, quiet = {"alpha": 0.1, "beta": 0.2, "lam": 10.0}, lambda *_: (0.0, 0.0, 0.0)
    x, y, y_lam = penalty(c, lazy_ring(4), **steps, strategy="plain", steps=800, noise=quiet)
    want = [0.36894678, 0.32896653, 0.32123863, 0.36121888]
    np.testing.assert_allclose(x[:, 0], want, rtol=0, atol=1e-8)
    z = [-0.57655605, -0.27591526, 0.14177169, -0.1588691]
    np.testing.assert_allclose(10 * (y - y_lam)[:, 0], z, rtol=0, atol=1e-8)


def first_order(problem, W, alpha, beta, lam, steps):
    """First-order D-SOBA by exact diffusion: a difference of 1 / lam, ∇f at the displaced y."""
    N = problem.agents
    draws = Draws(3, problem.everyone(), problem.upper, problem.lower)
    w = [row.expand(N, -1) for row in (problem.x0, problem.y0, torch.zeros_like(problem.y0))]
    W, e = torch.as_tensor(W), [0.0] * 3
    for t in range(steps):
        x, y, z = w
        displaced = y - z / lam
        u_x, u_y = problem.f.grad(x, displaced, draws.xi(t))
        (g_x, g_y), (d_x, d_y) = (problem.g.grad(x, at, draws.zeta(t)) for at in (y, displaced))
        D = u_x - lam * (g_x - d_x), g_y, lam * (g_y - d_y) - u_y
        adapted = [s - a * own for s, a, own in zip(w, (alpha, beta, beta), D, strict=True)]
        w = [W @ (s + kept) for s, kept in zip(adapted, e, strict=True)]
        e = [s - before for s, before in zip(w, adapted, strict=True)]
    return w


def test_in_other_variables_it_is_first_order_dsoba():
    problem, steps = tanh_problem(4), {"alpha": 0.05, "beta": 0.1, "lam": 10.0}
    state = run(DF2SA(**steps), problem, Dense(lazy_ring(4)), 100, seed=3).state
    want = first_order(problem, lazy_ring(4), **steps, steps=100)
    got = state.x, state.y, 10 * (state.y - state.y_lam)
    assert float(want[2].abs().max()) > 1e-3
    for mine, its in zip(got, want, strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-14)


def test_a_penalty_that_grows_follows_the_naive_loop_and_comes_nearer():
    def growing(t):
        return 10 * (1 + t / 20) ** 0.5

    c = {name: part.numpy() for name, part in t2().coefficients(shared=False).items()}
    quiet = lambda *_: (0.0, 0.0, 0.0)  # noqa: E731
    W = lazy_ring(4)
    state = run(DF2SA(**STEPS, lam=growing), t2(), Dense(W), 30).state
    want = penalty(c, W, **STEPS, lam=growing, strategy="ED", steps=30, noise=quiet)
    for mine, its in zip(state, want, strict=False):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-12)
    seen = run(DF2SA(**STEPS, lam=growing), t2(), Dense(W), 4000, every=1000)["distance"]
    assert seen[4] < seen[2] < seen[1] < 1e-3


def test_an_iteration_is_one_message_unless_trackers_are_sent():
    _, problem = quadratic()
    for strategy, vectors, rounds in (("ED", 1, 1), ("semi-ATC-GT", 2, 1), ("ATC-GT", 2, 2)):
        last = run(DF2SA(**STEPS, strategy=strategy), problem, Dense(lazy_ring(5)), 10).rows[-1]
        assert last["floats"] == 10 * 10 * vectors * (3 + 2 * 4)
        assert last["rounds"] == 10 * rounds
        assert (last["upper_grads"], last["lower_grads"], last["hvps"]) == (10, 20, 0)


def test_what_does_not_fit_is_refused():
    _, problem = quadratic()
    with pytest.raises(ValueError, match=r"DF2SA\.lam at t = 0 must be positive, got 0"):
        DF2SA(**STEPS, lam=0.0)
    with pytest.raises(ValueError, match=r"DF2SA\.lam at t = 5 must be positive"):
        run(DF2SA(**STEPS, lam=lambda t: 5.0 - t), problem, Dense(lazy_ring(5)), 9)
    with pytest.raises(ValueError, match="the strategy 'GT' is unknown; take ED, EXTRA"):
        DF2SA(**STEPS, strategy="GT")
    ring = Dense(mixing.lazy(lazy_ring(5)))
    with pytest.raises(ValueError, match="DF2SA mixes everything over one graph"):
        run(DF2SA(**STEPS), problem, PerLevel(ring, ring, Dense(ring.W)), 1)
    steep = Dense(mixing.uniform(graphs.torus(4, 4)))
    with pytest.raises(ValueError, match="ED on all levels is unstable on these weights"):
        run(DF2SA(**STEPS), quadratic(N=16)[1], steep, 1)
