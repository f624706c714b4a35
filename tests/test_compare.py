"""Paired comparisons at equal budgets."""

import numpy as np
import pandas as pd
import pytest

from dsbo.trace import Trace
from dsbo_book.experiments.compare import by_budget, late, paired, settled, verdicts


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


def test_a_curve_is_not_read_off_between_its_rows():
    """Between rows a line lies above a falling curve, more so for who spends more an iteration."""
    sparse = trace("D-SGD", 0, 1, 1.0)
    sparse.rows = sparse.rows[49::50]
    with pytest.raises(ValueError, match=r"no row of step from 18\.75 to 25; record more often"):
        late(sparse, "metric", "step", 25)
    several = [*runs(), *(trace("M-SGD", s, 1, 1.0) for s in range(3))]
    for one in several:
        one.rows = one.rows[49::50]
    assert list(by_budget(several, "metric").index.unique("budget")) == ["1/2", "1"]


def test_a_run_that_diverged_or_is_there_twice_is_not_compared():
    with pytest.raises(ValueError, match="was run twice on the seed 0; give one"):
        paired([*runs(), trace("D-SGD", 0, 1, 1.0)], "metric")
    lost = runs()
    lost[0].provenance["diverged"] = {"step": 90}
    with pytest.raises(ValueError, match="diverged; compare as far as all go on"):
        paired(lost, "metric")


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


def test_an_interval_holds_the_ratio_and_the_seeds_are_told():
    row = paired(runs(), "metric").loc["D-SGD"]
    assert row["low"] < row["ratio"] < row["high"] < 1
    assert row["n"] == 3


def test_budgets_double_and_show_where_the_order_turns():
    """The metric of one falls like 1/t, that of the other stays: they cross at half the budget."""
    ours = [trace("DIAMOND", s, 1, 50.0 + s) for s in range(3)]
    other = [trace("D-SGD", s, 1, 1.0) for s in range(3)]
    for one in other:
        one.rows = [
            row | {"metric": 1.0 + 0.001 * one.provenance["cell"]["seed"]} for row in one.rows
        ]
    table = by_budget(ours + other, "metric")
    assert list(table.index.get_level_values("budget")) == ["1/8", "1/4", "1/2", "1"]
    assert (np.diff(table["ratio"]) < 0).all()
    words = verdicts(table["p"])
    assert list(words) == ["behind", "behind", "behind", "ahead"]
    assert list(settled(words.unstack("budget")[["1/4", "1/2"]])) == ["behind"]
    assert list(settled(words.unstack("budget")[["1/2", "1"]])) == ["still changing"]


def test_verdicts_bear_how_many_comparisons_there_are():
    """One p of 0.02 alone is news; among twenty it is what chance brings."""
    assert list(verdicts(pd.Series([0.02]))) == ["ahead"]
    assert list(verdicts(pd.Series([0.98]))) == ["behind"]
    many = pd.Series([0.02, *np.linspace(0.1, 0.9, 19)])
    assert list(verdicts(many)) == ["level"] * 20


def test_methods_that_do_the_same_are_level():
    same = [trace(name, s, 1, 1.0) for name in ("DIAMOND", "GT-SGD") for s in range(3)]
    assert list(verdicts(paired(same, "metric")["p"])) == ["level"]


def test_a_verdict_at_one_budget_is_told_as_that():
    words = pd.DataFrame({"1/2": [None, "level"], "1": ["ahead", "level"]})
    assert list(settled(words)) == ["one budget", "level"]
