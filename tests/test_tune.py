"""`tune` finds the best of what it tries, and says what it cannot know."""

import math

import pytest

from dsbo import DSOBA, Dense, mixing, run, tune
from dsbo.algorithms import SingleLevelDSGD
from dsbo.problems import Quadratic
from dsbo.schedules import Power
from dsbo.trace import Trace
from dsbo.tune import HELD_OUT, score

N = 4
NETWORK = Dense(mixing.average(N))
PROBLEM = Quadratic.random(N, 2, 3, 1.0, seed=1, noise=0.1)


def distance(algorithm, problem, state):  # noqa: ARG001
    return {"distance": float((state.x.mean(0) - PROBLEM.solution().x).norm())}


def searched(algorithm, **more):
    return tune(algorithm, PROBLEM, NETWORK, steps=80, metric="distance", measure=distance, **more)


def test_the_choice_is_the_best_of_those_that_ran_to_the_end():
    found = searched(DSOBA(0.1, 0.2, 0.2))
    assert len(found.table) == 25
    ends = [row for row in found.table if row["steps"] == 80]
    assert (len(ends), found.table[:3]) == (3, ends)
    assert found.table[0]["distance"] == min(row["distance"] for row in ends)
    pair = found.table[0]
    assert found.algorithm.alpha(0) == 0.1 * pair["x"]
    assert found.algorithm.beta(0) == found.algorithm.gamma(0) == 0.2 * pair["y"]
    assert found.algorithm.theta(0) == 1.0
    again = [
        score(run(found.algorithm, PROBLEM, NETWORK, 80, seed, measure=distance), "distance")
        for seed in HELD_OUT
    ]
    assert sum(again) / 2 == pytest.approx(found.table[0]["distance"], rel=1e-9)


def test_a_rung_keeps_a_third_and_the_best_of_it():
    found = searched(DSOBA(0.1, 0.2, 0.2))
    steps = [row["steps"] for row in found.table]
    assert [steps.count(n) for n in (80, 40, 20)] == [3, 6, 16]
    for n in (80, 40, 20):
        scores = [row["distance"] for row in found.table if row["steps"] == n]
        assert scores == sorted(scores)


def test_an_edge_is_told():
    slow = searched(DSOBA(1e-4, 0.2, 0.2))
    assert slow.table[0]["x"] == 4.0
    assert any("step of x is largest" in told for told in slow.edges)
    assert slow.edges[0] in str(slow)
    good = searched(slow.algorithm, factors=(0.01, 1.0, 1000.0))
    assert good.table[0]["distance"] < slow.table[0]["distance"]


def test_steps_that_fall_keep_their_rule():
    found = searched(SingleLevelDSGD(Power(0.1, 2.0, 0.5)), factors=(0.5, 1.0))
    assert found.algorithm.beta in (Power(0.1, 2.0, 0.5), Power(0.05, 2.0, 0.5))
    assert [set(row) for row in found.table] == [{"y", "steps", "distance"}] * 2


def test_the_table_is_a_frame_and_prints():
    found = searched(DSOBA(0.1, 0.2, 0.2), factors=(1.0,))
    assert found.edges == []
    assert list(found.frame.columns) == ["x", "y", "steps", "distance"]
    assert "DSOBA(alpha=" in str(found).splitlines()[2]


def test_what_cannot_be_searched_is_said():
    method = DSOBA(0.1, 0.2, 0.2)
    with pytest.raises(ValueError, match="no metric 'loss'; the rows have step"):
        tune(method, PROBLEM, NETWORK, steps=8, metric="loss")
    with pytest.raises(
        ValueError, match=r"factors must be positive and increase, got \[2.0, 1.0\]"
    ):
        searched(method, factors=(2.0, 1.0))
    with pytest.raises(ValueError, match="at least one seed"):
        searched(method, seeds=())
    with pytest.raises(ValueError, match="every candidate diverged"):
        searched(DSOBA(1e9, 1e9, 1e9))
    with pytest.raises(TypeError, match=r"multiplies numbers and Power\(…\), not"):
        searched(DSOBA(lambda t: 0.1 / (1 + t), 0.2, 0.2))


def test_a_run_that_diverged_or_is_nan_scores_infinity():
    rows = [{"step": t, "loss": value} for t, value in enumerate([4.0, 3.0, 2.0, 1.0])]
    assert score(Trace(rows), "loss") == 1.0
    assert score(Trace(rows, {"diverged": {"step": 4}}), "loss") == math.inf
    assert score(Trace([*rows, {"step": 4, "loss": math.nan}]), "loss") == math.inf
