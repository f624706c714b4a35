"""Made-up tasks, and the settings of the logistic experiment and its ablations."""

import numpy as np
import pytest
import torch

from dsbo_book.data import synthetic
from dsbo_book.experiments import ablations, logistic, nonlinear
from dsbo_book.experiments.jobs import run_jobs


def draw(**changes):
    settings = {"features": 6, "useful": 3, "classes": 3, "heterogeneity": 0.5, "seed": 1}
    return synthetic.classification(4, 2000, **{**settings, **changes})


def test_features_have_the_promised_variances_and_labels_their_range():
    a, c = draw()
    assert a.shape == (4, 2000, 6)
    assert set(c.unique().tolist()) == {0, 1, 2}
    variances = np.sort(a.flatten(0, 1).var(0).numpy())[::-1]
    np.testing.assert_allclose(variances, np.arange(1, 7) ** -0.5, rtol=0.05)


def best_classifier(a, c, classes=3):
    hot = torch.nn.functional.one_hot(c, classes).double()
    return torch.linalg.lstsq(a, hot - 1 / classes).solution


def test_only_useful_features_say_anything_about_labels():
    a, c = draw(heterogeneity=0.0)
    weight = best_classifier(a.flatten(0, 1), c.flatten()).norm(dim=1)
    assert weight[:3].min() > 4 * weight[3:].max()


def test_heterogeneity_is_how_much_the_agents_rules_differ():
    spreads = []
    for h in (0.0, 0.5, 2.0):
        a, c = draw(heterogeneity=h)
        rules = torch.stack([best_classifier(*pair)[:3] for pair in zip(a, c, strict=True)])
        spreads.append(float((rules - rules.mean(0)).norm() / rules.mean(0).norm()))
    assert 2 * spreads[0] < spreads[1] < spreads[2] / 2


def test_flips_spoil_labels():
    a, clean = draw(flips=0.0)
    _, spoilt = draw(flips=0.3)
    assert float((clean != spoilt).double().mean()) == pytest.approx(0.3 * 2 / 3, abs=0.03)
    assert torch.equal(draw()[0], a)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"useful": 7}, "useful"),
        ({"heterogeneity": -1.0}, "heterogeneity"),
        ({"flips": 2}, "flips"),
    ],
)
def test_a_task_that_cannot_be_drawn_is_refused(changes, word):
    with pytest.raises(ValueError, match=word):
        draw(**changes)


def test_the_problem_is_the_same_for_the_same_seed_and_has_all_agents():
    settings = logistic.SCALES["quick"]
    task = logistic.problem(settings, "synthetic", "mild", 0)
    logistic.problem.cache_clear()
    again = logistic.problem(settings, "synthetic", "mild", 0)
    assert torch.equal(task.lower.data[0], again.lower.data[0])
    assert (task.agents, task.d, task.p) == (20, 60, 180)
    assert len(task.unseen["test"][0]) == settings.test


def test_names_are_unique_and_settings_complete():
    for jobs in (
        logistic.jobs(logistic.SCALES["paper"]),
        logistic.tuning_jobs(logistic.SCALES["paper"]),
        ablations.theta_jobs(ablations.THETA_SCALES["paper"]),
        ablations.size_jobs(ablations.SIZE_SCALES["paper"]),
        nonlinear.jobs(nonlinear.SCALES["paper"]),
    ):
        assert len({job.name for job in jobs}) == len(jobs)
        assert len({repr(sorted(job.settings.items(), key=str)) for job in jobs}) == len(jobs)


def test_the_first_order_variant_takes_the_steps_of_the_second():
    for cell, steps in logistic.TUNED.items():
        assert logistic.tuned(*cell, logistic.FIRST_ORDER) == steps["D-SOBA"]


def test_quick_runs_of_the_transient_do_what_they_say(tmp_path):
    jobs = nonlinear.jobs(nonlinear.SCALES["quick"])[:2]
    for job, trace in zip(jobs, run_jobs(jobs, tmp_path, progress=False), strict=True):
        assert len(trace.rows) == 33
        assert trace["step"][-1] == 64
        assert np.isfinite(trace["stationarity"]).all()
        assert trace.provenance["experiment"]["graph"] == job.told["graph"]
