"""The methods of the complexity tables with noise: their steps and problems, and the measure."""

import math
from functools import partial

import pytest
import torch

from dsbo import Trace
from dsbo_book.experiments import complexity
from dsbo_book.experiments.complexity import EXACT, METHODS, RECURSIVE, Steps
from dsbo_book.experiments.jobs import run_jobs

PAPER = complexity.SCALES["paper"]
STEPS = Steps(0.3, 0.6)


@pytest.mark.parametrize("method", METHODS)
def test_steps_shrink_as_the_rate_of_the_method_asks(method):
    short, long = (complexity.algorithm("quadratic", method, STEPS, T) for T in (32, 512))
    falls = {EXACT: 1.0} | dict.fromkeys(RECURSIVE, (1 + 500 / 20) ** (-1 / 3))
    assert short.alpha(0) == pytest.approx(STEPS.alpha)
    assert long.alpha(500) / short.alpha(0) == pytest.approx(falls.get(method, 1 / 4))


def test_agents_share_the_second_derivatives_of_the_lower_level_alone():
    problem = complexity.quadratic(PAPER, noise=0.0)
    P, Q, R, _, _, A, B, b = problem.coefficients(shared=False).values()
    assert all(torch.equal(part, part[:1].expand_as(part)) for part in (A, B))
    assert all(part.std(0).max() > 0.1 for part in (P, Q, R, b))
    bound = complexity.BOUNDS["quadratic"]
    assert torch.linalg.eigvalsh(A[0]).max() <= bound * (1 + 1e-12)


def test_the_upper_losses_are_convex_in_the_mean():
    problem = complexity.quadratic(PAPER, noise=0.0)
    for shared in (True, False):
        at = partial(problem.hypergradient, shared=shared)
        H = torch.autograd.functional.jacobian(at, torch.ones(problem.d, dtype=torch.float64))
        assert torch.linalg.eigvalsh(H).min() > 0.1


def test_one_level_has_the_gradient_of_f_alone():
    problem = complexity.quadratic(PAPER, noise=0.0, one_level=True)
    x = torch.arange(1.0, problem.d + 1, dtype=torch.float64)
    mean = problem.coefficients()
    assert torch.allclose(problem.hypergradient(x), mean["P"][0] @ x + mean["p"][0])


def test_the_mean_counts_every_iteration_once():
    trace = Trace(rows=[{"step": t, "hypergradient": h} for t, h in ((0, 2.0), (4, 1.0), (8, 1.0))])
    assert complexity.mean_square(trace, 8) == pytest.approx((4 * 2.5 + 4 * 1.0) / 8)
    assert complexity.mean_square(trace, 4) == pytest.approx(2.5)


def test_every_method_runs_and_short_runs_are_those_of_the_record(tmp_path):
    listed = complexity.jobs(complexity.SCALES["quick"])
    assert {job.told["method"] for job in listed} == set(METHODS)
    recorded = {job.name: job.settings for job in complexity.jobs(PAPER)}
    for job, trace in zip(listed, run_jobs(listed, tmp_path), strict=True):
        assert math.isfinite(complexity.mean_square(trace, 32))
        method = job.told["method"]
        if method not in RECURSIVE and method != EXACT:
            assert recorded[job.name] == job.settings
