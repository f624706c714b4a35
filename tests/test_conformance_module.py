"""The public checks accept a method that conforms and refuse one that does not."""

from dataclasses import dataclass, replace

import pytest
import torch
from cases import STEPS, lazy_ring, quadratic

from dsbo import DSOBA, SLDBO, Algorithm, Dense, Problem, conformance, run

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


@dataclass(frozen=True)
class Boastful(DSOBA):
    """Says that it tracks."""

    tracking = True


@pytest.mark.parametrize(
    ("method", "says"),
    [
        (Restless, "differs by|is .* when resumed"),
        (Forgetful, "two seeds give the same y"),
        (Chatty, r"rounds: counted 2, declared 1"),
        (Ordered, "differs by"),
        (Greedy, "changed in place"),
        (Boastful, "send trackers as push="),
    ],
)
def test_a_method_that_does_not_conform_is_refused(method, says):
    _, problem = quadratic(noise=0.5)
    with pytest.raises(conformance.Nonconforming, match=says):
        conformance.check(method(**STEPS), problem, W)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [None, 3])
def test_problems_of_ones_own_are_no_obstacle(dtype, batch):
    g = torch.Generator().manual_seed(0)
    data = [(torch.randn(9, 2, generator=g).to(dtype),) for _ in range(5)]

    def loss(x, y, batch):
        return (batch[0] @ y - 1).square().mean() + x.exp() @ y.square() + x.square().sum()

    start = torch.zeros(2, dtype=dtype)
    problem = Problem.from_losses(loss, loss, start, start, data, data[::-1], batch=batch)
    method = DSOBA(0.01, 0.01, 0.01)
    assert conformance.networks_agree(method, problem, W, 1e-5) < 1e-5
    assert conformance.ignores_labels(method, problem, W, 1e-5) < 1e-5
    if batch:
        conformance.check(method, problem, W)


def test_states_that_cannot_be_compared_are_told():
    state = run(DSOBA(**STEPS), quadratic()[1], Dense(W), 1).state
    with pytest.raises(conformance.Nonconforming, match=r"x is \(5, 3\), not \(3,\)"):
        conformance.equals(state, state._replace(x=state.x[0]), 1.0)


def test_a_class_without_a_cost_or_a_form_of_its_state_is_told():
    class Free(DSOBA):
        pass

    assert Free(**STEPS).calls(3, 4) == DSOBA(**STEPS).calls(3, 4)

    class Untold(Algorithm):
        pass

    with pytest.raises(conformance.Nonconforming, match="declares no cost"):
        conformance.costs(Untold(), quadratic()[1], W)


def test_each_check_says_what_it_found():
    _, problem = quadratic(noise=0.5)
    conformance.check(SLDBO(**STEPS, radius=9.0), problem, W)
    found = conformance.check(DSOBA(**STEPS), problem, W)
    assert found["resumes"] == 0
    assert found["seeds_decide"] > 0
    assert found["costs"]["floats"] == 3 + 2 * 4
    with pytest.raises(conformance.Nonconforming, match="differs by"):
        conformance.seeds_decide(Restless(**STEPS), problem, W)
    with pytest.raises(conformance.Nonconforming, match="y differs by"):
        conformance.networks_agree(Restless(**STEPS), problem, W, 1e-13)
