"""The steps of `published`, against the rules of the paper typed again."""

import pytest

from dsbo.algorithms import DIAMOND, DSGD, GTSGD, MSGD
from dsbo.schedules import at

TIMES = (0, 1, 2, 5, 17, 250, 4000)
C_ALPHA, C_BETA, C_ETA, C_GAMMA, OMEGA = 3.0, 0.5, 0.2, 0.7, 4.0


def published(method):
    return method.published(C_ALPHA, C_BETA, C_ETA, C_GAMMA, K=5, L=2.0, omega=OMEGA)


@pytest.mark.parametrize("method", [DIAMOND, DSGD, GTSGD, MSGD])
@pytest.mark.parametrize("t", TIMES)
def test_steps_fall_with_the_cube_root_of_the_time(method, t):
    found = published(method)
    alpha = C_ALPHA / (OMEGA + t) ** (1 / 3)
    assert at(found.alpha, t) == pytest.approx(alpha, rel=1e-12)
    assert at(found.beta, t) == pytest.approx(C_BETA * alpha, rel=1e-12)


@pytest.mark.parametrize("method", [DIAMOND, MSGD])
@pytest.mark.parametrize("t", TIMES)
def test_momentum_is_a_share_of_the_step_before_squared(method, t):
    found = published(method)
    squared = (C_ALPHA / (OMEGA + t - 1) ** (1 / 3)) ** 2
    eta, gamma = (min(1.0, c * squared) if t else 1.0 for c in (C_ETA, C_GAMMA))
    assert at(found.eta, t) == pytest.approx(eta, rel=1e-12)
    assert at(found.gamma, t) == pytest.approx(gamma, rel=1e-12)
    assert at(found.eta, TIMES[-1]) < at(found.gamma, TIMES[-1]) < 1
