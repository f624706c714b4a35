"""The public checks accept a method that conforms and refuse one that does not."""

from dataclasses import dataclass, replace

import pytest
import torch
from cases import STEPS, lazy_ring, quadratic

from dsbo import DSOBA, conformance

W = lazy_ring(5)


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


@dataclass(frozen=True)
class Chatty(DSOBA):
    """Sends x twice and says nothing of it."""

    def step(self, t, s, w):
        w.mix(s.x)
        return super().step(t, s, w)


@dataclass(frozen=True)
class Ordered(DSOBA):
    """Favours the first agent."""

    def step(self, t, s, w):
        s = super().step(t, s, w)
        return s._replace(x=s.x + 1e-3 * torch.eye(len(s.x), s.x.shape[1], dtype=s.x.dtype))


@dataclass(frozen=True)
class Greedy(DSOBA):
    """Steps in place, on the start of the problem itself."""

    def step(self, t, s, w):
        w.draw.lower.coefficients[4].mul_(1.01)
        return super().step(t, s, w)


@pytest.mark.parametrize(
    ("method", "says"),
    [
        (Restless, "differs by|is .* when resumed"),
        (Forgetful, "two seeds give the same y"),
        (Chatty, r"rounds: counted 2, declared 1"),
        (Ordered, "differs by"),
        (Greedy, "changed in place"),
    ],
)
def test_a_method_that_does_not_conform_is_refused(method, says):
    _, problem = quadratic(noise=0.5)
    with pytest.raises(conformance.Nonconforming, match=says):
        conformance.check(method(**STEPS), problem, W)


def test_each_check_says_what_it_found():
    _, problem = quadratic(noise=0.5)
    found = conformance.check(DSOBA(**STEPS), problem, W)
    assert found["resumes"] == 0
    assert found["seeds_decide"] > 0
    assert found["costs"]["floats"] == 3 + 2 * 4
    with pytest.raises(conformance.Nonconforming, match="differs by"):
        conformance.seeds_decide(Restless(**STEPS), problem, W)
    with pytest.raises(conformance.Nonconforming, match="y differs by"):
        conformance.networks_agree(Restless(**STEPS), problem, W, 1e-13)
