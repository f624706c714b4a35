"""The point of rest of D-SOBA by Newton's method."""

import pytest
import torch
from cases import STEPS, doubly_stochastic, lazy_ring, quadratic

from dsbo import Dense
from dsbo_book.data import synthetic
from dsbo_book.experiments import rest
from dsbo_book.problems import logistic_regression


@pytest.mark.parametrize("directed", [False, True])
def test_on_a_quadratic_it_is_the_fixed_point(directed):
    _, problem = quadratic()
    W = doubly_stochastic(5, seed=5, directed=directed)
    got = rest.dsoba(problem, Dense(W), **STEPS)
    for a, b in zip(got, problem.fixed_point(W, **STEPS), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_too_few_steps_are_told():
    a, c = synthetic.classification(4, 20, 3, 3, 2, 1.0, seed=1)
    halves = (a[:, :10], c[:, :10]), (a[:, 10:], c[:, 10:])
    problem = logistic_regression(*halves, test=(a[0], c[0]), batch=None, upper_ridge=0.1)
    with pytest.raises(ValueError, match="residual"):
        rest.dsoba(problem, Dense(lazy_ring(4)), 0.5, 0.3, 0.3, walk=0, steps=1)
