"""The Neumann estimator, against sums typed out and against the bound of Lemma 3."""

import numpy as np
import pytest
import torch
from cases import quadratic, t2, tanh_problem

from dsbo import DIAMOND, DSGD, INTERACT, run
from dsbo.hypergrad import Chain, cg, curvature, itd, neumann
from dsbo.problems import Problem
from dsbo.schedules import Momentum, Power
from dsbo.world import Draws

N = 5


def draws(problem, seed=0):
    return Draws(seed, problem.everyone(), problem.upper, problem.lower)


def at(problem, seed=0):
    g = torch.Generator().manual_seed(seed)
    return (
        torch.randn(N, problem.d, dtype=torch.float64, generator=g),
        torch.randn(N, problem.p, dtype=torch.float64, generator=g),
    )


def partial_sum(c, x, y, K, L):
    """Every agent's estimate with the inverse Hessian replaced by K terms of its series."""
    rows = []
    for i in range(N):
        u_x = c["P"][i] @ x[i] + c["Q"][i] @ y[i] + c["p"][i]
        u_y = c["Q"][i].T @ x[i] + c["R"][i] @ y[i] + c["r"][i]
        factor = np.eye(len(u_y)) - c["A"][i] / L
        series = sum(np.linalg.matrix_power(factor, j) for j in range(K)) / L
        rows.append(u_x + c["B"][i].T @ series @ u_y)
    return np.array(rows)


def test_the_mean_over_all_lengths_is_the_partial_sum():
    c, problem = quadratic()
    x, y = at(problem)
    K, L = 6, 8.0
    chain = draws(problem).chain(0, K)
    each = [
        neumann(problem.f, problem.g, x, y, chain._replace(k=torch.full((N,), k)), L)
        for k in range(K)
    ]
    want = partial_sum(c, x.numpy(), y.numpy(), K, L)
    np.testing.assert_allclose(torch.stack(each).mean(0), want, atol=1e-12)
    whole = neumann(problem.f, problem.g, x, y, chain, L, full_sum=True)
    np.testing.assert_allclose(whole, want, atol=1e-12)


def noisy_curvature():
    """One number y an agent, its curvature 0.2, 0.6 or 1 with equal chance."""
    curvatures = torch.tensor([[0.2], [0.6], [1.0]], dtype=torch.float64)
    start = torch.ones(1, dtype=torch.float64)
    return Problem.from_losses(
        upper=lambda x, y, b: y.sum() + 0 * (x.sum() + b.sum()),
        lower=lambda x, y, b: 0.5 * (b[:, 0] * y**2).mean() - (x * y).sum(),
        x0=start, y0=start, upper_data=[curvatures] * 4000, lower_data=[curvatures] * 4000,
        batch=1,
    )  # fmt: skip


def test_the_monte_carlo_mean_is_the_partial_sum_and_one_reused_sample_is_not():
    problem, K, L = noisy_curvature(), 12, 1.0
    x, y = (row.expand(4000, -1) for row in (problem.x0, problem.y0))
    chain = draws(problem, seed=7).chain(0, K)
    want = sum((1 - 0.6) ** j for j in range(K))  # the mean curvature is 0.6

    def z_score(rows):
        return float((rows.mean() - want) / (rows.std() / len(rows) ** 0.5))

    for full_sum in (False, True):
        rows = neumann(problem.f, problem.g, x, y, chain, L, full_sum)
        assert abs(z_score(rows)) < 5  # P(a false alarm) < 6e-7
    once = Chain(chain.xi, (chain.zetas[0], *[chain.zetas[1]] * (K - 1)), chain.k)
    assert abs(z_score(neumann(problem.f, problem.g, x, y, once, L, full_sum=True))) > 5


def test_the_published_rules_for_the_steps():
    method = DIAMOND.published(10.0, 10.0, 0.1, 0.2, K=10, L=1.0)
    assert method.alpha(6) == pytest.approx(5.0)
    assert method.beta(6) == pytest.approx(50.0)
    assert method.eta(0) == method.gamma(0) == 1.0
    assert method.eta(7) == 1.0  # 0.1 · 25 is cut
    assert method.eta(999) == pytest.approx(0.1 * (10 * 1000 ** (-1 / 3)) ** 2)
    assert method.eta.clipped() == 31


@pytest.mark.parametrize("change", [{"K": 0}, {"K": 2.5}, {"L": 0.0}, {"L": float("nan")}])
def test_a_series_that_is_none_is_refused(change):
    settings = {"alpha": 0.1, "beta": 0.1, "eta": 1.0, "gamma": 1.0, "K": 3, "L": 1.0}
    with pytest.raises((TypeError, ValueError), match=r"K must be|L must be (positive|finite)"):
        DIAMOND(**settings | change)
    with pytest.raises(ValueError, match="scale"):
        Momentum(-1.0, Power(1.0))


def test_differentiating_the_steps_is_what_autograd_makes_of_them():
    problem, beta = tanh_problem(N), 0.3
    x, y = at(problem)
    drawn = draws(problem)
    xi, zetas = drawn.xi(0), drawn.zetas(0, 3)
    got = itd(problem.f, problem.g, x, y, xi, zetas, beta)
    grad = torch.func.grad

    def unrolled(x, y, xi, zetas):
        for zeta in zetas:
            y = y - beta * grad(problem.g.loss, argnums=1)(x, y, zeta)
        return problem.f.loss(x, y, xi)

    want = torch.vmap(grad(unrolled))(x, y, xi, zetas)
    np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize(
    ("beta", "kind"), [("a", TypeError), (float("nan"), ValueError), (-1, ValueError)]
)
def test_lower_steps_of_no_length_are_not_differentiated(beta, kind):
    problem = tanh_problem(N)
    drawn = draws(problem)
    with pytest.raises(kind, match="beta must be"):
        itd(problem.f, problem.g, *at(problem), drawn.xi(0), drawn.zetas(0, 3), beta)


def test_differentiating_the_steps_is_a_series_on_a_quadratic():
    c, problem = quadratic()
    x, start = at(problem)
    beta, D = 0.1, 6
    chain = draws(problem).chain(0, D)
    got = itd(problem.f, problem.g, x, start, chain.xi, chain.zetas, beta)
    y = start.numpy()
    for _ in range(D):
        slope = np.einsum("nij,nj->ni", c["A"], y) - np.einsum("nij,nj->ni", c["B"], x) - c["b"]
        y = y - beta * slope
    np.testing.assert_allclose(got, partial_sum(c, x.numpy(), y, D, 1 / beta), atol=1e-12)


def mean_agent(problem):
    """One agent with the mean of all agents' losses."""
    return type(problem)(**problem.coefficients(shared=True))


def test_what_fixed_loops_leave_of_the_hypergradient():
    problem = mean_agent(t2())
    best = [row[None] for row in problem.solution()[:3]]
    everything = draws(problem)
    data = everything.xi(0), [everything.zeta(0)] * 10
    q = itd(problem.f, problem.g, best[0], best[1], *data, 0.2)
    assert float(q.norm()) == pytest.approx(9.06e-3, abs=5e-6)
    z, (A, B) = best[2][0], (problem.coefficients()[k][0] for k in "AB")
    left = B.T @ torch.linalg.matrix_power(torch.eye(1).double() - 0.2 * A, 10) @ z
    np.testing.assert_allclose(q[0], -left, atol=1e-12)
    both = cg(problem.f, problem.g, *best[:2], data[0], data[1][0], steps=1, tol=0)
    np.testing.assert_allclose(both, 0, atol=1e-12)


@pytest.mark.parametrize(("K", "rest"), [(1, 0.2736318408), (3, 0.3164857329), (10, 0.3216322548)])
@pytest.mark.parametrize("method", [DSGD, INTERACT, DIAMOND])
@pytest.mark.parametrize("inner", [1, 3])
def test_every_method_with_a_series_rests_at_the_same_point(method, inner, K, rest):
    settings = {"eta": 0.5, "gamma": 0.5} if method is DIAMOND else {}
    settings |= {"K": K, "L": 2.0, "full_sum": True, "inner": inner}
    state = run(method(0.1, 0.2, **settings), mean_agent(t2()), steps=600, every=600).state
    assert float(state.x) == pytest.approx(rest, abs=1e-9)


def mean(rows):
    return rows.mean(0, keepdim=True)


@pytest.mark.parametrize("p", [1, 2, 9, 60])
@pytest.mark.parametrize("shared", [True, False])
def test_curvatures_are_found_from_within(p, shared):
    _, problem = quadratic(p=p)
    A = problem.coefficients(shared)["A"]
    A[:, 0] = A[:, :, 0] = 0.0
    A[:, 0, 0] = -3.0  # one that lies apart, as it may at a start that is not convex
    batch = list(problem.lower.full(problem.everyone()))
    batch[2] = A.expand(N, p, p)
    low, high = curvature(problem.g, *at(problem), batch, mean if shared else None)
    want = torch.linalg.eigvalsh(A)
    assert (low >= want[:, 0] - 1e-9).all()
    assert (high <= want[:, -1] + 1e-9).all()
    torch.testing.assert_close(low, want[:, 0], rtol=0, atol=1e-9 if p < 12 else 1e-3)
    torch.testing.assert_close(high, want[:, -1], rtol=0, atol=1e-9 if p < 12 else 0.05)


def test_a_space_that_is_used_up_invents_no_curvature():
    _, problem = quadratic(p=6)
    batch = list(problem.lower.full(problem.everyone()))
    batch[2] = 2.5 * torch.eye(6, dtype=torch.float64).expand(N, 6, 6)
    for found in curvature(problem.g, *at(problem), batch, None):
        torch.testing.assert_close(found, torch.full((N,), 2.5, dtype=torch.float64))
