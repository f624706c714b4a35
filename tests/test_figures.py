"""What the studies of the figures run: the tasks, the networks, the steps and their tuning."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from dsbo import SingleLevelDSGD
from dsbo.trace import Trace
from dsbo_book.cli import main
from dsbo_book.experiments import (
    a9a,
    cleaning,
    complexity,
    diamond,
    logistic,
    meta,
    networks,
    sparkle,
    tasks,
    tuning,
)
from dsbo_book.experiments.running import run_study
from dsbo_book.experiments.study import Study

SAMPLE = partial(tasks.cleaning, dataset="fashion_mnist-sample", train=200, clean=100, hidden=8)
TINY = partial(sparkle.quick, task=SAMPLE, steps=4, every=2)


def trace(method, alpha, beta, seed, values, diverged=False):
    cell = {"method": method, "alpha": alpha, "beta": beta, "seed": seed}
    provenance = {"cell": cell} | ({"diverged": {"step": 3}} if diverged else {})
    return Trace([{"step": t, "metric": v} for t, v in enumerate(values)], provenance)


def test_the_smallest_mean_over_seeds_of_the_last_quarter_is_chosen():
    assert tuning.score(trace("D-SGD", 1, 1, 0, [9, 9, 9, 9, 9, 9, 1, 3]), "metric") == 2
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
    want = {"DIAMOND": {"alpha": 0.3, "beta": 1.0}, "D-SGD": {"alpha": 0.1, "beta": 1.0}}
    assert tuning.chosen(scores) == want


@pytest.mark.parametrize("figure", [meta, a9a, sparkle], ids=["meta", "a9a", "sparkle"])
def test_every_method_gets_as_many_candidates_within_the_same_bounds(figure):
    cells = figure.TUNING["paper"].cells
    each = {name: [c for c in cells if c["method"] == name] for name in figure.METHODS}
    assert len({len(own) for own in each.values()}) == 1
    for key in ("alpha", "beta", "seed"):
        assert (
            len({(min(v), max(v)) for v in ([c[key] for c in own] for own in each.values())}) == 1
        )


def test_the_momentum_of_a_cell_is_that_of_the_run_whatever_its_steps_are():
    for alpha, beta in ((0.1, 1.0), (5.0, 2.5)):
        for name in ("DIAMOND", "M-SGD"):
            cell = {"method": name, "alpha": alpha, "beta": beta, "eta": 2.5}
            made = diamond.by_theorem(cell, K=5, L=2.0)
            assert made.eta(999) == pytest.approx(2.5 * 1000 ** (-2 / 3))
            assert made.gamma(999) == made.eta(999)
            assert made.alpha(6) == pytest.approx(alpha / 2)
            assert made.beta(6) == pytest.approx(beta / 2)


def test_an_agents_clean_samples_look_like_its_training_samples():
    problem = SAMPLE(rate=0.2, seed=0, train=1000, clean=400, concentration=0.3)
    true = problem.unseen["true"].numpy()
    for i in range(problem.agents):
        shares = [
            np.bincount(c, minlength=10) / len(c)
            for c in (true[i], problem.upper.data[1][i].numpy())
        ]
        assert abs(shares[0] - shares[1]).sum() < 0.5
    assert problem.unseen["corrupted"].float().mean() == pytest.approx(0.2)


def test_floor_and_ceiling_know_the_weights_they_stand_for():
    for method, weights in (("unweighted", {1.0}), ("clean only", {0.0, 1.0})):
        cell = {"method": method, "graph": "complete", "rate": 0.2, "beta": 0.5, "seed": 0}
        start = cleaning.start(cell, task=SAMPLE)
        assert isinstance(start.algorithm, SingleLevelDSGD)
        assert {round(w, 9) for w in start.problem().x0.sigmoid().tolist()} == weights


@pytest.mark.parametrize(
    ("place", "x", "yz"),
    [("everywhere", 1, 1), ("x", 1, 0), ("y, z", 0, 1), ("nowhere", 0, 0)],
)
def test_the_sparse_graph_is_where_the_name_says(place, x, yz):
    cell = {"method": "SPARKLE-ED", "sparse": place, "rate": 0.2, "alpha": 1, "beta": 1, "seed": 0}
    sparse = networks.regular("adjusted ring", 10, 0.8).W
    for level, is_sparse in zip(sparkle.start(cell).network.levels, (x, yz, yz), strict=True):
        assert np.array_equal(level.W, sparse) == bool(is_sparse)


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_diverging_run_is_told_although_no_one_graph_has_a_name(tmp_path, monkeypatch, capsys):
    cells = [{"method": "SPARKLE-ED", "sparse": "x", "rate": 0.2, "alpha": 1e30, "beta": 1e30}]
    wild = Study([cells[0] | {"seed": 0}], partial(TINY, steps=12, every=1))
    monkeypatch.setitem(sparkle.STUDIES, "quick", wild)
    assert main(["run", "sparkle", "--out", str(tmp_path)]) == 3
    assert "SPARKLE-ED, seed 0, diverged: " in capsys.readouterr().err


def test_every_method_of_sparkle_runs_with_alpha_in_proportion_to_the_samples(tmp_path):
    cells = sparkle.cells(rates=[0.2, 0.1], seeds=[0], share=200 / 50_000)
    assert len(cells) == 2 * 3 + 3
    for made in run_study(Study(cells, TINY), tmp_path):
        assert made.rows[-1]["step"] == 4
        cell = made.provenance["cell"]
        alpha = sparkle.TUNED[cell["method"]]["alpha"]
        assert cell["alpha"] == pytest.approx(alpha * 200 / 50_000)


def test_the_first_order_variant_takes_the_steps_of_the_second():
    cells = logistic.STUDIES["paper"].cells
    key = ("dataset", "heterogeneity", "alpha", "beta", "seed")
    second, first = (
        [[c[k] for k in key] for c in cells if c["method"] == name]
        for name in ("D-SOBA", logistic.FIRST_ORDER)
    )
    assert first == second


def test_methods_are_compared_as_far_as_all_runs_go_on():
    def made(dataset, method, **told):
        cell = {"dataset": dataset, "heterogeneity": "mild", "method": method}
        return Trace([{"step": 500 * k} for k in range(9)], {"cell": cell} | told)

    record = [
        made("a9a", "D-SOBA", diverged={"step": 3900}),
        made("a9a", logistic.FIRST_ORDER),
        made("synthetic", "MDBO"),
    ]
    (cut,) = logistic.compared(record, "a9a", "mild")
    assert (cut.rows[-1]["step"], "diverged" in cut.provenance) == (1000, False)
    assert record[0].rows[-1]["step"] == 4000, "the trace itself stays whole"
    (first,) = logistic.compared(record, "a9a", "mild", logistic.FIRST_ORDER)
    assert first.provenance["cell"]["method"] == logistic.FIRST_ORDER
    (whole,) = logistic.compared(record, "synthetic", "mild", "MDBO", "D-SOBA")
    assert whole.rows[-1]["step"] == 4000
    assert logistic.compared(record, "synthetic", "severe") == []


def test_a_drawn_problem_is_the_same_for_the_same_seed_and_has_all_agents():
    task, again = (tasks.drawn_logistic(0.5, seed=0) for _ in range(2))
    assert torch.equal(task.lower.data[0], again.lower.data[0])
    assert (task.agents, task.d, task.p) == (20, 60, 180)
    assert len(task.unseen["test"][0]) == 10_000


@pytest.mark.parametrize("method", complexity.METHODS)
def test_steps_shrink_as_the_rate_of_the_method_asks(method):
    cell = {"method": method, "alpha": 0.3, "beta": 0.6}
    short, long = (complexity.algorithm(cell | {"T": T}) for T in (32, 512))
    falls = {complexity.EXACT: 1.0}
    falls |= dict.fromkeys(complexity.RECURSIVE, (1 + 500 / 20) ** (-1 / 3))
    assert short.alpha(0) == pytest.approx(0.3)
    assert long.alpha(500) / short.alpha(0) == pytest.approx(falls.get(method, 1 / 4))


def test_agents_share_the_second_derivatives_of_the_lower_level_alone():
    problem = complexity.quadratic(noise=0.0)
    P, Q, R, _, _, A, B, b = problem.coefficients(shared=False).values()
    assert all(torch.equal(part, part[:1].expand_as(part)) for part in (A, B))
    assert all(part.std(0).max() > 0.1 for part in (P, Q, R, b))
    assert torch.linalg.eigvalsh(A[0]).max() <= complexity.BOUND * (1 + 1e-12)
    for shared in (True, False):  # the upper losses are convex in the mean
        units = torch.cat([torch.zeros(1, problem.d), torch.eye(problem.d)]).double()
        zero, *columns = (problem.hypergradient(unit, shared) for unit in units)
        H = torch.stack([column - zero for column in columns], dim=1)
        assert torch.linalg.eigvalsh(H).min() > 0.1


def test_one_level_has_the_gradient_of_f_alone():
    problem = complexity.quadratic(noise=0.0, one_level=True)
    x = torch.arange(1.0, problem.d + 1, dtype=torch.float64)
    P, _, _, p, *_ = problem.coefficients(shared=True).values()
    assert torch.allclose(problem.hypergradient(x), P[0] @ x + p[0])


def test_the_mean_counts_every_iteration_once():
    made = Trace(rows=[{"step": t, "hypergradient": h} for t, h in ((0, 2.0), (4, 1.0), (8, 1.0))])
    assert complexity.mean_square(made, 8) == pytest.approx((4 * 2.5 + 4 * 1.0) / 8)
    assert complexity.mean_square(made, 4) == pytest.approx(2.5)


def test_every_method_runs_and_short_runs_are_those_of_the_record(tmp_path):
    quick, paper = complexity.STUDIES["quick"], complexity.STUDIES["paper"].at_seeds([0])
    assert set(quick.axis("method")) == set(complexity.METHODS)
    for cell, made in zip(quick.cells, run_study(quick, tmp_path), strict=True):
        assert math.isfinite(complexity.mean_square(made, 32))
        anytime = cell["method"] in (*complexity.RECURSIVE, complexity.EXACT)
        assert anytime != (cell in paper.cells)
