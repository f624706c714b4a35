"""STORM and SARAH on SOBA's directions: corners, and where they rest."""

import numpy as np
import pytest
from cases import STEPS, lazy_ring, quadratic, t2

from dsbo import SOBA, SRBA, STORMSOBA, Dense, mixing, run
from dsbo.algorithms.reconstructed.sparkle import STRATEGIES
from dsbo.schedules import Momentum

ETAS = {"eta_x": 0.3, "eta_y": 0.4, "eta_z": 0.5}
LEVELS = "upper", "lower", "auxiliary"


def same(a, b, tol):
    for level in ("x", "y", "z"):
        mine, its = getattr(a, level), getattr(b, level)
        np.testing.assert_allclose(mine, its, rtol=0, atol=tol)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("method", [STORMSOBA, SRBA])
def test_every_strategy_rests_at_the_solution_of_unlike_agents(method, name):
    own = ETAS if method is STORMSOBA else {"q": 5}
    steps = {"alpha": 0.05, "beta": 0.1, "gamma": 0.1}
    made = method(**steps, **own, **dict.fromkeys(LEVELS, name))
    state = run(made, t2(), Dense(lazy_ring(4)), 3000, every=3000).state
    np.testing.assert_allclose(state.x, 0.3216374269, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["ED", "ATC-GT", "semi-ATC-GT"])
def test_without_momentum_on_the_complete_graph_it_is_soba(name):
    _, problem = quadratic(noise=0.5)
    made = STORMSOBA(**STEPS, **dict.fromkeys(LEVELS, name))
    got = run(made, problem, Dense(mixing.average(5)), 25, seed=1).state
    same(got, run(SOBA(**STEPS), problem, steps=25, seed=1).state, 1e-12)


def test_exact_directions_need_no_momentum():
    _, problem = quadratic()
    network = Dense(mixing.lazy(lazy_ring(5)))
    rules = {name: Momentum(share, 1.0) for name, share in ETAS.items()}
    made = STORMSOBA(**STEPS, **rules), SRBA(**STEPS, q=7)
    plain = run(STORMSOBA(**STEPS), problem, network, 50).state
    for method in made:
        same(run(method, problem, network, 50).state, plain, 1e-12)


def test_restarts_need_a_period():
    with pytest.raises(ValueError, match=r"SRBA\.q must be at least 1, got 0"):
        SRBA(**STEPS, q=0)
