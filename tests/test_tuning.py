"""One grid for every method, and the choice from its record."""

import math

import pytest

from dsbo.trace import Trace
from dsbo_book.experiments import EXPERIMENTS, a9a, meta, tuning
from dsbo_book.experiments.tuning import METHODS, Steps


def trace(method, alpha, beta, seed, values, diverged=False):
    told = {"method": method, "c_alpha": alpha, "c_beta": beta, "seed": seed}
    provenance = {"experiment": told} | ({"diverged": {"step": 3}} if diverged else {})
    return Trace([{"step": t, "metric": v} for t, v in enumerate(values)], provenance)


def test_the_last_quarter_decides():
    assert tuning.score(trace("D-SGD", 1, 1, 0, [9, 9, 9, 9, 9, 9, 1, 3]), "metric") == 2
    assert tuning.score(trace("D-SGD", 1, 1, 0, [1], diverged=True), "metric") == math.inf


def test_the_smallest_mean_over_seeds_is_chosen():
    traces = [
        trace("DIAMOND", 0.1, 1.0, 100, [1.0]),
        trace("DIAMOND", 0.1, 1.0, 101, [5.0]),
        trace("DIAMOND", 0.3, 1.0, 100, [2.0]),
        trace("DIAMOND", 0.3, 1.0, 101, [2.0]),
        trace("D-SGD", 0.1, 1.0, 100, [1.0]),
        trace("D-SGD", 0.1, 1.0, 101, [1.0]),
        trace("D-SGD", 0.3, 1.0, 100, [0.1]),
        trace("D-SGD", 0.3, 1.0, 101, [0.1], diverged=True),
    ]
    scores = tuning.table(traces, "metric")
    assert list(scores.columns) == ["DIAMOND", "D-SGD"]
    assert tuning.chosen(scores) == {"DIAMOND": Steps(0.3, 1.0), "D-SGD": Steps(0.1, 1.0)}


@pytest.mark.parametrize("experiment", [meta, a9a], ids=["meta", "a9a"])
def test_every_method_gets_the_same_candidates_on_seeds_that_are_not_reported(experiment):
    settings = experiment.SCALES["paper"]
    jobs = experiment.tuning_jobs(settings)
    each = {
        name: {(j.told["c_alpha"], j.told["c_beta"]) for j in jobs if j.told["method"] == name}
        for name in METHODS
    }
    assert len(set(map(frozenset, each.values()))) == 1
    assert not {j.told["seed"] for j in jobs} & set(settings.seeds)
    assert {j.steps for j in jobs} == {settings.tuning_steps}


def test_momentum_keeps_the_printed_weights():
    for steps in (Steps(0.1, 1.0), Steps(5.0, 2.5)):
        for name in ("DIAMOND", "M-SGD"):
            made = tuning.method(name, steps, K=5, L=2.0)
            assert made.eta(999) == pytest.approx(0.1 * 10**2 * 1000 ** (-2 / 3))
            assert made.alpha(6) == pytest.approx(steps.alpha / 2)
            assert made.beta(6) == pytest.approx(steps.beta / 2)


def test_names_of_jobs_are_unique():
    for experiment in EXPERIMENTS.values():
        for settings in experiment.scales.values():
            names = [job.name for job in experiment.jobs(settings, None)]
            assert len(set(names)) == len(names)
