"""SPARKLE: exact in every strategy, mixture and set of graphs, or refused."""

import itertools

import numpy as np
import pytest
import torch
from cases import drawn_noise, lazy_ring, quadratic
from reference.sparkle import sparkle

from dsbo import DSOBA, SPARKLE, Dense, Peers, PerLevel, Sparse, graphs, mixing, run
from dsbo.algorithms.reconstructed.sparkle import STRATEGIES, largest_root
from dsbo.problems import Quadratic

STEPS = {"alpha": 0.05, "beta": 0.08, "gamma": 0.08}
MIXTURES = [(s, s, s) for s in STRATEGIES]
MIXTURES += list(itertools.permutations(("ED", "EXTRA", "semi-ATC-GT")))


def method(upper, lower, auxiliary, **settings):
    return SPARKLE(**{**STEPS, **settings}, upper=upper, lower=lower, auxiliary=auxiliary)


def three_graphs():
    path = mixing.lazy(mixing.metropolis(graphs.path(5)))
    complete = mixing.metropolis(graphs.complete(5))
    return PerLevel(x=Dense(path), y=Dense(lazy_ring(5)), z=Dense(complete))


@pytest.mark.parametrize("mixture", MIXTURES[-3:])
def test_three_graphs_equal_the_dual_form(mixture):
    c, problem = quadratic(noise=0.5)
    network = three_graphs()
    names = dict(zip(("upper", "lower", "auxiliary"), mixture, strict=True))
    got = run(method(*mixture, theta=0.3), problem, network, steps=50, seed=2).state
    want = sparkle(
        c, network.matrices, **STEPS, theta=0.3, **names, steps=50, noise=drawn_noise(2, 0.5, 3, 4)
    )
    for a, b in zip(got, want, strict=False):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_each_graph_counts_its_own_messages():
    _, problem = quadratic()
    last = run(method("ED", "ED", "ATC-GT"), problem, three_graphs(), steps=10).rows[-1]
    assert last["floats"] == 10 * (8 * 3 + 10 * 4 + 20 * 2 * 4)
    assert last["rounds"] == 10 * 4


@pytest.mark.parametrize("strategy", ["ED", "EXTRA"])
@pytest.mark.parametrize("transport", [Dense, Sparse, Peers])
def test_single_precision_stays_at_the_solution(transport, strategy):
    c, problem = quadratic()
    single = Quadratic(**c, dtype=torch.float32)
    network = transport(mixing.lazy(mixing.metropolis(graphs.path(5))))
    sparkle = method(strategy, strategy, strategy)
    early, late = (run(sparkle, single, network, steps=steps).state.x for steps in (1000, 3000))
    assert float((late.double() - problem.solution().x).abs().max()) < 1e-5
    assert float((late - early).abs().max()) < 1e-6


@pytest.mark.parametrize("strategy", ["ED", "EXTRA"])
def test_weights_below_a_third_are_refused_and_lazy_ones_are_not(strategy):
    _, problem = quadratic(N=16)
    torus = mixing.uniform(graphs.torus(4, 4))
    assert mixing.lambda_min(torus) == pytest.approx(-0.6)
    with pytest.raises(ValueError, match=r"unstable.*lambda_min = -0\.6.*mixing\.lazy"):
        run(method(strategy, strategy, strategy), problem, Dense(torus), steps=1)
    with pytest.raises(ValueError, match=f"{strategy} on y is unstable"):
        run(method("ATC-GT", strategy, "ATC-GT"), problem, Dense(torus), steps=1)
    run(method(strategy, strategy, strategy), problem, Dense(mixing.lazy(torus)), steps=1)
    run(method("ATC-GT", "ATC-GT", "ATC-GT"), problem, Dense(torus), steps=1)


@pytest.mark.parametrize("N", [16, 32])
def test_directed_weights_are_refused_even_when_lazy_but_not_symmetrised(N):
    _, problem = quadratic(N=N)
    W = mixing.lazy(mixing.uniform(graphs.exponential(N)))
    with pytest.raises(ValueError, match=r"symmetric \(W \+ W\.T\) / 2"):
        run(method("ED", "ED", "ED"), problem, Dense(W), steps=1)
    run(method("ED", "ED", "ED"), problem, Dense((W + W.T) / 2), steps=1)


def test_a_refusal_is_right_and_an_acceptance_too():
    """The root decides: just inside the modes of the plain recursion die, outside they grow."""
    for least, grows in ((-0.32, False), (-0.36, True)):
        W = mixing.average(2) + least * (np.eye(2) - mixing.average(2))
        root = largest_root(W, "ED")
        assert (root > 1) == grows
        previous, now = 1.0, least
        for _ in range(3000):
            previous, now = now, least * (2 * now - previous)
        assert (abs(now) > 1) == grows


def test_what_does_not_fit_is_refused():
    _, problem = quadratic()
    with pytest.raises(ValueError, match="the lower strategy 'GT' is unknown; take ED, EXTRA"):
        method("ED", "GT", "ED")
    with pytest.raises(ValueError, match="DSOBA mixes everything over one graph"):
        run(DSOBA(**STEPS), problem, three_graphs(), steps=1)
    odd = PerLevel(x=Dense(lazy_ring(5)), y=Dense(lazy_ring(6)), z=Dense(lazy_ring(5)))
    with pytest.raises(ValueError, match="the network has 6 agents, the problem 5"):
        run(method("ED", "ED", "ED"), problem, odd, steps=1)
