"""What `suggest` measures, and that the steps it gives are stable and useful."""

import re
from collections.abc import Callable
from dataclasses import MISSING, fields
from importlib import import_module

import pytest
import torch

from dsbo import DIAMOND, DSOBA, SPARKLE, Dense, Diverged, Problem, graphs, mixing, run, suggest
from dsbo.algorithms import ALGORITHMS, INTERACT, SLDBO, SOBA, VRDBO, SingleLevelDSGD
from dsbo.algorithms.base import Algorithm, Momenta
from dsbo.problems import Quadratic
from dsbo.scales import measured
from dsbo.schedules import Momentum, Power
from dsbo.suggest import Scales, _rests

N = 8
RING = Dense(mixing.metropolis(graphs.ring(N)))
LAZY = Dense(mixing.lazy(RING.W))


def quadratic(noise=0.0):
    return Quadratic.random(N, 3, 4, 1.0, seed=3, noise=noise)


@pytest.fixture(scope="module")
def regression():
    """Twenty features, of which five matter, and a penalty an exponent for each."""
    torch.manual_seed(0)
    truth = torch.cat([torch.ones(5), torch.zeros(15)])
    data = [(a, a @ truth + torch.randn(30)) for a in (torch.randn(30, 20) for _ in range(2 * N))]

    def loss(x, y, batch):  # noqa: ARG001
        return (batch[0] @ y - batch[1]).square().mean()

    return Problem.from_losses(
        upper=loss, lower=lambda x, y, b: loss(x, y, b) + 0.1 * x.exp() @ y**2,
        x0=torch.zeros(20), y0=torch.zeros(20), upper_data=data[:N], lower_data=data[N:], batch=10,
    )  # fmt: skip


def test_the_curvatures_of_a_quadratic_are_those_of_its_matrices():
    problem = quadratic()
    own = torch.linalg.eigvalsh(problem.coefficients(shared=False)["A"])
    for shared in (True, False):
        found = measured(problem, shared, lambda: None)
        each = torch.linalg.eigvalsh(problem.coefficients(shared)["A"])
        assert found.low == pytest.approx(float(each.min()))
        assert found.high == pytest.approx(float(each.max()))
        assert found.own == pytest.approx(float(own.max()))
    start, units = torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    H = torch.stack([problem.hypergradient(e) - problem.hypergradient(start) for e in units])
    largest = float(torch.linalg.eigvalsh((H + H.mT) / 2).max())
    found = measured(problem, True, lambda: None)
    assert 0.7 * largest < found.phi < 1.05 * largest
    assert found.slope == pytest.approx(float(problem.hypergradient(start).abs().max()), rel=0.05)


LIMITS: list[tuple[str, Callable[[float], object], Dense, float]] = [
    # Adapt, then combine: a mode λ is multiplied by λ (1 - step), whatever the network.
    ("D-SOBA", lambda s: DSOBA(1e-3, s, s), RING, 2.0),
    # Personal levels are not mixed.
    ("DIAMOND", lambda s: DIAMOND(1e-3, s, 1.0, 1.0, K=1, L=1.0), RING, 2.0),
    # Tracked: (1 + λ)² / 2 of the smallest λ, which is 1/3 for the lazy ring.
    ("SLDBO", lambda s: SLDBO(1e-3, s, s, radius=10.0), LAZY, (1 + 1 / 3) ** 2 / 2),
]


@pytest.mark.parametrize(("name", "method", "network", "limit"), LIMITS, ids=[k[0] for k in LIMITS])
def test_the_quadratic_tells_the_limit_of_a_step(name, method, network, limit):  # noqa: ARG001
    scales = Scales(low=0.5, high=1.0, own=1.0, phi=1.0, slope=1.0, reach=1.0, z=1.0, drawn=False)
    assert _rests(method(0.95 * limit), network, quadratic(), scales)
    assert not _rests(method(1.05 * limit), network, quadratic(), scales)


def test_agents_that_differ_lower_the_limit():
    same = Scales(low=0.1, high=1.0, own=1.0, phi=1.0, slope=1.0, reach=1.0, z=1.0, drawn=False)
    assert _rests(DSOBA(1e-3, 1.5, 1.5), RING, quadratic(), same)
    assert not _rests(DSOBA(1e-3, 1.5, 1.5), RING, quadratic(), same._replace(own=4.0))


@pytest.mark.parametrize("method", [SPARKLE, VRDBO, INTERACT])
def test_a_run_with_what_is_suggested_comes_close(method):
    problem = quadratic(noise=0.1)
    network = LAZY
    found = suggest(method, problem, network)
    trace = run(found.algorithm, problem, network, steps=600, every=600)
    shared = method.shared_lower
    start = problem.hypergradient(problem.x0, shared).norm()
    end = problem.hypergradient(trace.state.x.mean(0), shared).norm()
    assert end < start / 5


def test_where_penalties_grow_with_x_the_trial_makes_the_step_smaller(regression):
    found, again = (suggest(DSOBA, regression, RING) for _ in range(2))
    assert found == again
    assert "to survive" in found.reasons["alpha"]
    before, *_, after = run(found.algorithm, regression, RING, steps=1000).rows
    assert after["upper_loss"] < before["upper_loss"] / 3
    with pytest.raises(Diverged):
        run(DSOBA(0.25 / found.scales.phi, found.algorithm.beta, found.algorithm.gamma), regression,
            RING, steps=1000)  # fmt: skip


def test_every_setting_has_its_reason():
    found = suggest(VRDBO, quadratic(), LAZY, K=3)
    assert list(found.reasons) == ["alpha", "beta", "eta", "gamma", "L"]
    assert found.algorithm.K == 3
    assert isinstance(found.algorithm.alpha, Power)
    assert isinstance(found.algorithm.eta, Momentum)
    told = str(found).splitlines()
    assert [line.split(" = ")[0] for line in told if line[:3] != "   "] == [
        "VRDBO", "  alpha", "  beta", "  eta", "  gamma", "  L",
    ]  # fmt: skip
    assert told[1].startswith("  alpha = Power(scale=")
    assert max(map(len, told)) <= 76
    assert f"  L = {found.algorithm.L:.3g}: a fifth above" in str(found)
    assert re.search(r"\d{7}", str(found)) is None
    assert pytest.approx(1.2 * found.scales.own) == found.algorithm.L
    assert list(suggest(SingleLevelDSGD, quadratic(), LAZY).reasons) == ["beta"]


def test_a_centralised_method_needs_no_network():
    assert suggest(SOBA, quadratic()).algorithm.alpha(0) > 0


def test_nothing_is_averaged_where_nothing_is_drawn():
    for noise, theta in ((0.0, 1.0), (0.1, 0.2)):
        assert suggest(DSOBA, quadratic(noise), LAZY).algorithm.theta(0) == theta


def test_a_step_that_would_leap_is_cut_and_says_so(monkeypatch):
    steep = Scales(low=1.0, high=1.0, own=1.0, phi=0.01, slope=10.0, reach=1.0, z=1.0, drawn=False)
    monkeypatch.setattr(import_module("dsbo.suggest"), "measured", lambda *_: steep)
    found = suggest(DSOBA, quadratic(), LAZY)
    assert found.algorithm.alpha(0) <= 0.1
    assert "so that x moves by at most 1 at first" in found.reasons["alpha"]


def test_every_setting_of_every_method_has_a_role_or_a_default():
    known = {*Algorithm.roles.values(), *Momenta.roles.values(), "recursive", "radius"}
    for method in ALGORITHMS:
        needed = {f.name for f in fields(method) if f.init and f.default is MISSING}
        assert needed <= method.roles.keys(), method
        assert set(method.roles.values()) <= known


def test_what_cannot_be_suggested_is_said(regression):
    with pytest.raises(TypeError, match="give the class of a method, such as DSOBA, not DSOBA"):
        suggest(DSOBA(0.1, 0.1, 0.1), regression, RING)
    with pytest.raises(ValueError, match="DSOBA needs a network of 8 agents"):
        suggest(DSOBA, regression)
    with pytest.raises(TypeError, match="unexpected keyword argument 'tau'"):
        suggest(DSOBA, regression, RING, tau=1.0)
    data = [torch.ones(3) for _ in range(N)]
    flat = {"x0": torch.zeros(1), "y0": torch.zeros(3), "upper_data": data, "lower_data": data}

    def up(x, y, b):
        return y @ b + 0 * x.sum()

    hill = Problem.from_losses(up, lambda x, y, b: up(x, -(y**2), b), **flat)
    with pytest.raises(ValueError, match="curves upwards nowhere"):
        suggest(DSOBA, hill, RING)
    still = Problem.from_losses(up, lambda x, y, b: up(x, y**2, b), **flat)
    with pytest.raises(ValueError, match="moving x does not change the hypergradient"):
        suggest(DSOBA, still, RING)
