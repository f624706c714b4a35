"""The meta-learning and logistic problems: their exact answers against naive ones."""

import math
from collections import Counter

import pytest
import torch

from dsbo import SecondOrder
from dsbo.problems import Quadratic
from dsbo_book.problems import logistic_regression, meta_learning
from dsbo_book.problems.logistic import _lower
from dsbo_book.problems.softmax import minimise

N, M, K, Q = 3, 40, 5, 3


def samples(seed, m=M):
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(N, m, K, generator=g, dtype=torch.float64)
    return a, (a + 0.5 * torch.randn(a.shape, generator=g))[..., :Q].argmax(-1)


def meta(batch=8, strength=1.0):
    kept = {"strength": strength, "batch": batch}
    return meta_learning(samples(0), samples(1), classes=Q, hidden=4, **kept)


def logistic(batch=8):
    a, c = samples(2)
    return logistic_regression(samples(0), samples(1), (a[0], c[0]), classes=Q, batch=batch)


def moved(problem, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = problem.x0 + 0.3 * torch.randn(N, problem.d, generator=g, dtype=torch.float64)
    return x, torch.randn(N, problem.p, generator=g, dtype=torch.float64)


both = pytest.mark.parametrize("problem", [meta(), logistic()], ids=["meta", "logistic"])


@both
@pytest.mark.parametrize("shared", [False, True])
def test_the_lower_gradient_vanishes_at_the_lower_solution(problem, shared):
    x = moved(problem)[0][0]
    y, _ = problem.lower_solution(x, shared)
    rows = x.expand(N, -1), y.expand(N, -1)
    v = problem.g.grad(*rows, problem.lower.full(problem.everyone()))[1]
    v = v.mean(0) if shared else v
    assert float(v.norm()) < 1e-8


@both
@pytest.mark.parametrize("shared", [False, True])
def test_the_hypergradient_is_the_slope_of_phi(problem, shared):
    x, _ = moved(problem)
    direction = moved(problem, seed=5)[0][0]
    got = problem.hypergradient(x[0], shared)

    def phi(point):
        solution, _ = problem.lower_solution(point, shared)
        return problem.upper_loss(point.expand_as(x), solution.expand(N, -1), shared)

    step = 1e-5
    slope = (phi(x[0] + step * direction) - phi(x[0] - step * direction)) / (2 * step)
    assert float(got @ direction) == pytest.approx(slope, abs=1e-8)


@both
@pytest.mark.parametrize("shared", [False, True])
def test_the_metric_is_the_sum_of_its_three_terms(problem, shared):
    x, y = moved(problem)
    row = problem.metrics(problem, x, y, shared)
    xbar = x.mean(0)
    stationarity = problem.hypergradient(xbar, shared).square().sum()
    assert row["stationarity"] == pytest.approx(float(stationarity), rel=1e-6)
    if shared:
        solution, _ = problem.lower_solution(xbar)
    else:
        solution = torch.stack([problem.lower_solution(x[i], False)[0][i] for i in range(N)])
    assert row["lower_gap"] == pytest.approx(float((solution - y).square().sum()), rel=1e-6)
    terms = row["stationarity"] + row["lower_gap"] + float((x - xbar).square().sum())
    assert row["metric"] == pytest.approx(terms)


def test_newton_says_when_it_does_not_arrive():
    a, c = samples(0)
    ridge = torch.ones(N, K, dtype=torch.float64)
    with pytest.raises(ValueError, match="left a gradient of norm"):
        minimise(a, c, ridge, a.new_zeros(N, K, Q), steps=1)


def test_what_cannot_be_solved_is_refused():
    with pytest.raises(ValueError, match="strength must be positive"):
        meta(strength=0.0)
    wide = (torch.zeros(N, M, K + 1, dtype=torch.float64), samples(0)[1])
    with pytest.raises(ValueError, match="must agree"):
        meta_learning(samples(0), wide, classes=Q)
    with pytest.raises(ValueError, match="must agree"):
        logistic_regression(samples(0), wide, wide, classes=Q)


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [(1e4, 0.0, "Newton"), (-1e4, 0.0, "singular"), (-1e4, 1e4, "singular")],
)
def test_metrics_of_a_run_about_to_diverge_are_nan_and_do_not_stop_it(x, y, told):
    """Without a ridge the Hessian is singular, also where a huge y leaves no gradient."""
    task = logistic()
    x = torch.full((task.agents, task.d), x, dtype=task.x0.dtype)
    start = y * torch.randn(
        task.agents, task.p, generator=torch.Generator().manual_seed(0), dtype=task.x0.dtype
    )
    found = task.metrics(task, x, start, True)
    assert math.isnan(found["stationarity"])
    assert math.isnan(found["metric"])
    with pytest.raises(ValueError, match=told):
        task.hypergradient(x[0])


def test_the_closed_form_of_the_lower_level_is_that_of_automatic_differentiation():
    problem = logistic()
    closed = problem.g
    auto = SecondOrder(_lower, problem.f.x_layout, problem.f.y_layout, "lower")
    x, y = moved(problem)
    batch = problem.lower.full(problem.everyone())
    v = y.flip(0)
    torch.testing.assert_close(closed.value(x, y, batch), auto.value(x, y, batch))
    torch.testing.assert_close(closed.grad_hess(x, y, batch, v), auto.grad_hess(x, y, batch, v))
    many = torch.stack([v, 2 * y])
    mine, its = Counter(), Counter()
    here, there = closed.counted(mine).at(x, y, batch), auto.counted(its).at(x, y, batch)
    torch.testing.assert_close(here.both(many), there.both(many))
    assert mine == its == {"jvps": 2, "hvps": 2}


@pytest.mark.timeout(120)
def test_many_unknowns_are_solved_for_on_several_threads_too():
    """There PyTorch's factorisation of a batch hangs or is wrong, from about 150 unknowns on."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        rng = torch.Generator().manual_seed(0)
        a = torch.randn(4, 300, 100, generator=rng, dtype=torch.float64)
        ridge, start = torch.ones(4, 100).double(), torch.zeros(4, 100, 2).double()
        c = (a[..., 0] > 0).long()
        heads = minimise(a, c, ridge, start)
        pull = torch.softmax(a @ heads, -1) - torch.nn.functional.one_hot(c)
        assert (a.mT @ pull / 300 + heads).abs().max() < 1e-9
        wide = Quadratic.random(3, 2, 200, seed=1)
        y, _ = wide.lower_solution(wide.x0, shared=False)
        rows = wide.x0.expand(3, -1), y, wide.lower.full(wide.everyone())
        assert wide.g.grad(*rows)[1].abs().max() < 1e-9
    finally:
        torch.set_num_threads(threads)
