"""Paired comparisons at equal budgets."""

import numpy as np
import pytest

from dsbo.trace import Trace
from dsbo_book.experiments.compare import late, paired


def trace(method, seed, calls, scale):
    """A run whose metric is scale / step and that spends ``calls`` an iteration."""
    zero = {"lower_grads": 0, "jvps": 0, "hvps": 0}
    rows = [
        {"step": t, "upper_grads": calls * t, **zero, "metric": scale / t} for t in range(1, 101)
    ]
    return Trace(rows, {"cell": {"method": method, "seed": seed}})


def runs(seeds=3):
    rng = np.random.default_rng(0)
    scales = rng.uniform(0.9, 1.1, seeds)
    ours = [trace("DIAMOND", s, 2, 0.6 * scales[s]) for s in range(seeds)]
    return ours + [trace("D-SGD", s, 1, scales[s] * (1 + 0.01 * s)) for s in range(seeds)]


def test_late_is_the_mean_over_the_last_quarter_of_the_budget():
    assert late(trace("D-SGD", 0, 2, 1.0), "metric", "oracle_calls", 16) == pytest.approx(
        (1 / 7 + 1 / 8) / 2
    )


def test_who_is_ahead_depends_on_what_is_counted():
    by_step = paired(runs(), "metric").loc["D-SGD"]
    assert by_step["ratio"] == pytest.approx(0.6, rel=0.02)
    assert by_step["seeds"] == 3
    assert by_step["p"] < 1e-3
    by_call = paired(runs(), "metric", "oracle_calls").loc["D-SGD"]
    assert by_call["ratio"] == pytest.approx(1.2, rel=0.02)
    assert by_call["seeds"] == 0
    assert by_call["p"] > 0.99
    large = paired(runs(), "metric", sign=-1).loc["D-SGD"]
    assert large["p"] > 0.99


def test_seeds_must_agree():
    with pytest.raises(ValueError, match="different seeds"):
        paired(runs()[1:], "metric")
