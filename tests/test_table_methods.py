"""Where the methods of the papers' tables rest, beyond what the conformance suite asks."""

import pytest
import torch
from cases import lazy_ring, quadratic, t2

from dsbo import DSBO, LOPA, LOPAGT, SLDBO, Dense, GossipDSBO, run

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
    trace = run(method(**STEPS), t2(), Dense(lazy_ring(4)), steps=3000, every=3000)
    error = float((trace.state.x - 6 / 13).abs().max())
    assert error < 1e-10 if exact else error > 1e-3
    apart = abs(float(trace.state.x.mean()) - 6 / 13)
    assert trace.rows[-1]["distance"] == pytest.approx(apart, abs=1e-12)


def test_matrices_that_do_not_fit_are_refused_with_their_bytes():
    x, y = torch.zeros(1, 10**6).expand(10, -1), torch.zeros(1, 10**6).expand(10, -1)
    bytes_ = 16 * 10 * 10**12 * 4
    with pytest.raises(MemoryError, match=f"need {bytes_} bytes.*SPARKLE or DSOBA"):
        DSBO(**STEPS).init(x, y)
    with pytest.raises(MemoryError, match=r"Gossip-DSBO.*bytes.*SPARKLE or DSOBA"):
        GossipDSBO(alpha=0.1, gamma=0.1, theta=0.1, copies=3, L=1.0).init(x, y)


def test_dsbo_rests_nearer_the_solution_with_longer_loops_and_smaller_steps():
    _, problem = quadratic()
    network, distances = Dense(lazy_ring(5)), []
    for scale in (1.0, 0.5):
        method = DSBO(alpha=0.05 * scale, beta=0.05 * scale, gamma=0.1, T_y=20, T_Q=20)
        trace = run(method, problem, network, steps=int(150 / scale), every=500)
        distances.append(trace.rows[-1]["distance"])
    assert distances[1] < 0.7 * distances[0] < 0.1
