"""The public checks accept a method that conforms and refuse one that does not."""

from dataclasses import dataclass, replace

import pytest
import torch
from cases import lazy_ring, quadratic

from dsbo import DSOBA, conformance

W = lazy_ring(5)
STEPS = {"alpha": 0.1, "beta": 0.2, "gamma": 0.2}


@dataclass(frozen=True)
class Forgetful(DSOBA):
    """Draws the samples of the first iteration again and again, whatever the seed."""

    def step(self, t, s, w):
        return super().step(0 * t, s, w._replace(draw=replace(w.draw, seed=0)))


@dataclass(frozen=True)
class Restless(DSOBA):
    """Draws from torch's own generator, so that no run can be repeated."""

    def step(self, t, s, w):
        s = super().step(t, s, w)
        return s._replace(y=s.y + torch.randn(s.y.shape, dtype=s.y.dtype))


def test_a_method_that_conforms_is_accepted():
    _, problem = quadratic(noise=0.5)
    method = DSOBA(**STEPS)
    assert conformance.networks_agree(method, problem, W, 1e-13) < 1e-13
    assert conformance.resumes(method, problem, W) == 0
    assert conformance.seeds_decide(method, problem, W) > 0
    assert conformance.sends(method, problem, W, floats=3 + 2 * 4, rounds=1) == 11


def test_methods_that_do_not_conform_are_refused():
    _, problem = quadratic(noise=0.5)
    for check in (conformance.resumes, conformance.seeds_decide):
        with pytest.raises(AssertionError, match="differs by"):
            check(Restless(**STEPS), problem, W)
    with pytest.raises(AssertionError, match="two seeds give the same y"):
        conformance.seeds_decide(Forgetful(**STEPS), problem, W)
    with pytest.raises(AssertionError, match="declared were"):
        conformance.sends(DSOBA(**STEPS), problem, W, floats=3, rounds=1)
    with pytest.raises(AssertionError, match="y differs by"):
        conformance.networks_agree(Restless(**STEPS), problem, W, 1e-13)
