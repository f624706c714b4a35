"""Problems whose agents differ as one says, and what D-SOBA does on them, without a draw."""

import numpy as np
import pytest
from cases import doubly_stochastic

from dsbo import DSOBA, Dense, mixing, run
from dsbo_book.experiments import moments
from dsbo_book.problems.dials import dial, placed

u, v = np.random.default_rng(0).normal(size=(2, 5))
U, V = u - u.mean(), v - v.mean()


def at_solution(problem):
    M, m = problem.directions()
    return M, (M.sum(2) + m).numpy()


@pytest.mark.parametrize("differ", [0.0, 0.3])
def test_directions_at_the_solution_have_the_size_asked_for(differ):
    problem = dial(np.eye(5) - 1 / 5, b=3.0, differ=differ)
    M, D = at_solution(problem)
    assert D.mean(0) == pytest.approx(0, abs=1e-12)
    assert (D**2).sum(1).mean() == pytest.approx(9)
    assert (float((M - M.mean(0)).abs().max()) > 0.01) == bool(differ)


def test_curvature_and_pull_are_where_they_were_placed():
    M, D = at_solution(placed(U, V, b=2.0, a=0.1, d=3))
    for axis in range(3):
        assert M[:, 3 + axis, 3 + axis].numpy() == pytest.approx(1 + 0.1 * U)
        assert D[:, 3 + axis] == pytest.approx(2 * V)
    assert np.abs(np.delete(D, [3, 4, 5], axis=1)).max() < 1e-12


def test_the_recursion_is_the_algorithm():
    W, problem = doubly_stochastic(5, seed=1, directed=True), placed(U, V, 2.0, noise=0.0)
    A, c, _ = moments.recursion(problem, W, 0.05)
    s = moments.start(5)
    for _ in range(7):
        s = A @ s + c
    steps = dict(zip(["alpha", "beta", "gamma", "theta"], 0.05 * moments.RATES, strict=True))
    state = run(DSOBA(**steps), problem, Dense(W), steps=7).state
    got = np.concatenate([part.numpy().ravel() for part in state])
    assert s + np.r_[np.ones(15), np.zeros(5)] == pytest.approx(got, abs=1e-12)


def test_on_equal_weights_the_agents_are_a_server():
    got = moments.quality(placed(U, V, 2.0), mixing.average(5), 2.0**8)
    assert got == pytest.approx(moments.server(5, 2.0**8), rel=1e-12)


def test_noise_counts_by_its_variance():
    W = doubly_stochastic(5, seed=1, directed=False)
    values = [moments.quality(placed(U, V, 2.0, noise=s), W, 2.0**8) for s in (0.0, 1.0, 2.0)]
    assert values[2] - values[0] == pytest.approx(4 * (values[1] - values[0]), rel=1e-9)


def test_the_worst_places_attain_chi_and_no_others_exceed_it():
    W = doubly_stochastic(5, seed=1, directed=True)
    chi, left, right = moments.worst(W)
    memory = np.linalg.pinv(np.eye(5) - W) @ (W - 1 / 5)
    assert left @ memory @ right / 5 == pytest.approx(chi)
    assert [np.mean(left), np.mean(right)] == pytest.approx([0, 0], abs=1e-12)
    assert [np.mean(left**2), np.mean(right**2)] == pytest.approx([1, 1])
    assert abs(U @ memory @ V) / 5 < chi * U.std() * V.std()
    assert chi <= moments.odds(W)


def test_the_ten_weights_are_doubly_stochastic_and_attain_the_bound():
    for name, W in moments.ten_weights().items():
        assert len(W) == (16 if "adjusted" in name else int(name.split()[-1]))
        assert np.stack([W.sum(0), W.sum(1)]) == pytest.approx(1.0)
        assert moments.worst(W)[0] == pytest.approx(moments.odds(W))
