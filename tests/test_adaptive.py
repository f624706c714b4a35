"""Where steps from norms lead, with tracking and without, and what one constant bears."""

import pytest
import torch
from cases import lazy_ring, quadratic, t2

from dsbo import AdaSDBO, AdaSDBOGT, Dense, run
from dsbo.problems import Quadratic


def test_with_tracking_sums_of_norms_and_steps_converge_and_the_solution_is_reached():
    trace = run(AdaSDBOGT(), t2(), Dense(lazy_ring(4)), 1000, every=1000)
    assert trace.rows[-1]["distance"] < 1e-12
    longer = run(AdaSDBOGT(), t2(), Dense(lazy_ring(4)), 2000, every=2000)
    for name in ("m_x", "m_y", "m_z"):
        first, later = (getattr(s, name) for s in (trace.state, longer.state))
        assert float((first - first[0]).abs().max()) < 1e-9
        torch.testing.assert_close(first, later, rtol=0, atol=1e-12)


def test_without_tracking_steps_fall_and_the_distance_with_them():
    trace = run(AdaSDBO(), t2(), Dense(lazy_ring(4)), 10_000, every=1000)
    early, late = trace["distance"][[1, 10]]
    # Where sums are mixed before they are divided by, for a second round, it is 7.17e-3.
    assert early == pytest.approx(7.17e-3, rel=0.05)
    assert early / late == pytest.approx(10**0.5, rel=0.05)


def test_one_agent_takes_the_steps_of_the_single_agent_method():
    mean = {
        name: part.mean(0, keepdim=True) for name, part in t2().coefficients(shared=False).items()
    }
    problem = Quadratic(**mean)
    same = [run(method(), problem, steps=100) for method in (AdaSDBO, AdaSDBOGT)]
    torch.testing.assert_close(same[0].state.x, same[1].state.x, rtol=0, atol=1e-14)
    assert same[0].rows[-1]["distance"] == pytest.approx(1.9e-6, rel=0.05)
    m_x, m_y, m_z = (float(m) for m in same[0].state[3:6])
    slow = max(m_y, m_z) ** 0.5
    assert (1 / m_y**0.5, 1 / (m_x**0.5 * slow)) == pytest.approx((0.52, 0.24), abs=0.005)


@pytest.mark.parametrize("c", [1.0, 10.0])
def test_a_constant_that_is_wrong_by_ten_still_leads_to_the_solution(c):
    _, problem = quadratic()
    trace = run(AdaSDBOGT(c), problem, Dense(lazy_ring(5)), 4000, every=4000)
    assert trace.rows[-1]["distance"] < 1e-12
