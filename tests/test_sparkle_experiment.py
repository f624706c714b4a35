"""SPARKLE against D-SOBA: which graph serves which level, and what the runs are told by."""

from dataclasses import replace

import numpy as np
import pytest

from dsbo_book.cli import main
from dsbo_book.experiments import cleaning, sparkle
from dsbo_book.experiments.jobs import run_jobs
from dsbo_book.experiments.tuning import Steps

TASK = replace(cleaning.SCALES["quick"], train=200, clean=100, hidden=8)
TINY = sparkle.Settings(TASK, rates=(0.2, 0.1), steps=4, record=2, seeds=(0,))


@pytest.mark.parametrize(
    ("place", "x", "yz"),
    [("everywhere", 1, 1), ("x", 1, 0), ("y, z", 0, 1), ("nowhere", 0, 0)],
)
def test_the_sparse_graph_is_where_the_name_says(place, x, yz):
    _, _, network = sparkle.job(TINY, "SPARKLE-ED", place, 0.2, sparkle.GRID[0], 0).start()
    sparse = cleaning.network("adjusted ring", TASK).W
    for W, is_sparse in zip(network.levels, (x, yz, yz), strict=True):
        assert np.array_equal(W, sparse) == bool(is_sparse)


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_diverging_run_is_told_although_no_one_graph_has_a_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sparkle.SCALES, "quick", replace(TINY, steps=12, record=1))
    monkeypatch.setitem(sparkle.TUNED, "SPARKLE-ED", Steps(1e30, 1e30))
    assert main(["run", "sparkle", "--out", str(tmp_path)]) == 3
    assert "SPARKLE-ED, seed 0, diverged: " in capsys.readouterr().err


def test_every_method_runs_and_its_job_is_told_by_its_own_steps(tmp_path):
    listed = sparkle.jobs(TINY)
    assert len(listed) == 2 * 3 + 3
    traces = run_jobs(listed, tmp_path)
    for job, trace in zip(listed, traces, strict=True):
        assert trace.rows[-1]["step"] == 4
        assert job.told["c_beta"] == sparkle.TUNED[job.told["method"]].beta
        assert job.told["c_alpha"] == pytest.approx(
            sparkle.TUNED[job.told["method"]].alpha * 200 / 50_000
        )
        assert not {"alpha", "beta", "beta_clean", "graphs"} & set(job.told)
    assert len(sparkle.tuning_jobs(TINY)) == 3 * 3 * 2
    assert not set(sparkle.HELD_OUT) & set(sparkle.SCALES["paper"].seeds)
