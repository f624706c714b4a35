"""Where the methods of the papers' tables rest, beyond what the conformance suite asks."""

import pytest
import torch
from cases import lazy_ring, quadratic, t2

from dsbo import LOPA, LOPAGT, SLDBO, Dense, run

STEPS = {"alpha": 0.05, "beta": 0.08, "gamma": 0.08}


def test_sldbo_comes_to_the_solution_from_inside_its_ball_only():
    _, problem = quadratic()
    solution = problem.solution()
    needed = float(solution.z.norm())
    network = Dense(lazy_ring(5))
    for radius, arrives in ((2 * needed, True), (0.5 * needed, False)):
        state = run(SLDBO(**STEPS, radius=radius), problem, network, steps=1200).state
        assert float(state.z.norm(dim=1).max()) <= radius * (1 + 1e-12)
        assert (float((state.x - solution.x).abs().max()) < 1e-10) == arrives
    with pytest.raises(ValueError, match="radius must be positive"):
        SLDBO(**STEPS, radius=0.0)


@pytest.mark.parametrize(("method", "exact"), [(LOPA, False), (LOPAGT, True)])
def test_lopa_comes_to_the_personal_solution_if_it_tracks(method, exact):
    state = run(method(**STEPS), t2(), Dense(lazy_ring(4)), steps=3000, record=3000).state
    error = float((state.x - 6 / 13).abs().max())
    assert error < 1e-10 if exact else error > 1e-3


def test_lopas_tracker_keeps_the_mean():
    _, problem = quadratic(noise=0.5)
    state = run(LOPAGT(**STEPS, theta=0.3), problem, Dense(lazy_ring(5)), steps=50).state
    torch.testing.assert_close(state.u.mean(0), state.h.mean(0), rtol=0, atol=1e-13)
