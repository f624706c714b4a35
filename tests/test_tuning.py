"""How steps are chosen: as many candidates for each method, and momenta where there are some."""

import pytest

from dsbo.trace import Trace
from dsbo_book.experiments import EXPERIMENTS, diamond, tuning
from dsbo_book.experiments.study import once

AXES = {"alpha": tuple(range(1, 10)), "beta": (1.0, 2.0), "eta": (0.5, 2.5, 10.0)}
SEARCHES = [name for name in EXPERIMENTS if name.endswith("-tuning")]


def tried(method, value, seed=100, **steps):
    cell = {"method": method, "seed": seed, **steps}
    return Trace([{"step": t, "loss": value} for t in range(4)], {"cell": cell})


def test_methods_with_and_without_momentum_try_as_many_within_the_same_bounds():
    found = {name: diamond.candidates(name, **AXES) for name in diamond.METHODS}
    assert {len(each) for each in found.values()} == {18}
    for each in found.values():
        assert [min(c["alpha"] for c in each), max(c["alpha"] for c in each)] == [1, 9]
    assert {"eta" in c for c in found["DIAMOND"] + found["M-SGD"]} == {True}
    assert {"eta" in c for c in found["GT-SGD"] + found["D-SGD"]} == {False}


def test_the_best_candidate_has_a_momentum_only_where_its_method_has_one():
    traces = [
        tried("DIAMOND", 3.0, alpha=1.0, beta=1.0, eta=2.5),
        tried("DIAMOND", 2.0, alpha=1.0, beta=1.0, eta=10.0),
        tried("D-SGD", 1.0, alpha=1.0, beta=1.0),
        tried("D-SGD", 0.5, alpha=2.0, beta=1.0),
    ]
    scores = tuning.table(traces, "loss")
    assert tuning.chosen(scores) == {
        "DIAMOND": {"alpha": 1.0, "beta": 1.0, "eta": 10.0},
        "D-SGD": {"alpha": 2.0, "beta": 1.0},
    }
    assert tuning.chosen(diamond.coarse(scores, 2.5)) == {
        "DIAMOND": {"alpha": 1.0, "beta": 1.0, "eta": 2.5},
        "D-SGD": {"alpha": 1.0, "beta": 1.0},
    }


def test_the_printed_momentum_goes_with_the_printed_steps():
    printed = diamond.as_printed({"alpha": 5.0, "beta": 7.5, "eta": 2.5})
    assert printed["DIAMOND"]["eta"] == printed["M-SGD"]["eta"] == 2.5
    assert printed["GT-SGD"] == printed["D-SGD"] == {"alpha": 5.0, "beta": 7.5}


@pytest.mark.parametrize("name", SEARCHES)
def test_steps_are_chosen_on_seeds_that_are_not_reported(name):
    cells = EXPERIMENTS[name].study("paper").cells
    assert {cell["seed"] for cell in cells} == set(tuning.HELD_OUT)
    assert not set(tuning.HELD_OUT) & set(tuning.REPORTED)
    assert len(once(cells)) == len(cells)
