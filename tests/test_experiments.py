"""Experiments, their records and the command line, on the samples that come with the package."""

import errno
import json
import re
import tempfile
from dataclasses import replace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import platformdirs
import pytest

from dsbo import SingleLevelDSGD, Trace
from dsbo.trace import TraceError
from dsbo_book import data, plots
from dsbo_book.cli import main
from dsbo_book.experiments import EXPERIMENTS, cleaning, jobs
from dsbo_book.experiments.jobs import StaleRecord, load_kept, load_record, run_jobs

TINY = replace(cleaning.SCALES["quick"], train=200, clean=100, hidden=8, steps=6, record=3)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(cleaning.SCALES, "quick", TINY)
    return TINY


def test_every_scale_of_every_experiment_lists_its_runs():
    for experiment in EXPERIMENTS.values():
        for settings in experiment.scales.values():
            listed = experiment.jobs(settings, None)
            assert len({job.name for job in listed}) == len(listed)
    assert len(cleaning.jobs(cleaning.SCALES["paper"])) == (3 + 3 * 3) * 5


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_kind_of_run_starts_at_quick_scale_without_a_download(name, monkeypatch, tmp_path):
    monkeypatch.setenv("DSBO_DATA", str(tmp_path))
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: tmp_path)
    experiment = EXPERIMENTS[name]
    kinds = {}
    for job in experiment.jobs(experiment.scales["quick"], None):
        kinds.setdefault((job.told.get("method"), job.told.get("problem")), job)
    for job in kinds.values():
        _, problem, network = job.start()
        assert problem.agents == network.agents


def test_no_reported_seed_was_tuned_on():
    assert not set(cleaning.SCALES["paper"].seeds) & set(cleaning.HELD_OUT)


def test_the_four_graphs_are_ordered_as_the_slides_say():
    rho = [cleaning.network(name, cleaning.SCALES["paper"]).rho for name in cleaning.GRAPHS]
    assert rho == sorted(rho)
    assert rho[0] == pytest.approx(0, abs=1e-12)
    assert rho[1:] == pytest.approx([0.6, 0.7236, 0.9618], abs=1e-4)


def test_an_agents_clean_samples_look_like_its_training_samples():
    settings = replace(TINY, train=1000, clean=400, concentration=0.3)
    problem = cleaning.problem(settings, 0.2, 0)
    true = problem.unseen["true"].numpy()
    for i in range(settings.agents):
        shares = [
            np.bincount(c, minlength=10) / len(c)
            for c in (true[i], problem.upper.data[1][i].numpy())
        ]
        assert abs(shares[0] - shares[1]).sum() < 0.5
    assert problem.unseen["corrupted"].float().mean() == pytest.approx(0.2)


def test_floor_and_ceiling_know_the_weights_they_stand_for():
    for method, weights in (("unweighted", {1.0}), ("clean only", {0.0, 1.0})):
        algorithm, problem, _ = cleaning.job(TINY, method, "complete", 0.2, 0).start()
        assert isinstance(algorithm, SingleLevelDSGD)
        assert {round(w, 9) for w in problem.x0.sigmoid().tolist()} == weights


def test_a_record_is_read_back_and_a_stale_one_is_refused(tmp_path, tiny):
    listed = cleaning.jobs(tiny, seeds=[0])[2:4]
    made = run_jobs(listed, tmp_path, command="the command")
    read = load_record(listed, tmp_path)
    for a, b in zip(made, read, strict=True):
        assert a.rows == b.rows
        assert b.provenance["command"] == "the command"
    assert load_kept(listed[1], tmp_path).shape == (200,)
    other = cleaning.jobs(replace(tiny, gamma=0.3), seeds=[0])[2:4]
    with pytest.raises(StaleRecord, match=r"stale: gamma was 0\.1, is 0\.3\. Make it anew: dsbo"):
        load_record(other, tmp_path)
    with pytest.raises(StaleRecord, match="is missing"):
        load_record(cleaning.jobs(tiny, seeds=[1])[:1], tmp_path)


def test_resuming_an_experiment_runs_only_what_is_missing(tmp_path, tiny, monkeypatch):
    listed = cleaning.jobs(tiny, seeds=[0])[:3]
    run_jobs(listed[:1], tmp_path)
    ran = []
    real = jobs.run
    monkeypatch.setattr(jobs, "run", lambda *a, **k: ran.append(1) or real(*a, **k))
    again = run_jobs(listed, tmp_path, resume=True)
    assert len(again) == 3
    assert len(ran) == 2
    (tmp_path / f"{listed[1].name}.csv").write_text("half a")
    run_jobs(listed, tmp_path, resume=True)
    assert len(ran) == 3


def test_a_record_takes_the_place_of_the_folder_of_a_run(tmp_path, tiny, monkeypatch):
    listed, place = cleaning.jobs(tiny, seeds=[0, 1])[4:8], tmp_path / "cleaning-quick.npz"
    whole = jobs.write
    monkeypatch.setattr(jobs, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_jobs(listed[:1], place)
    monkeypatch.setattr(jobs, "write", whole)
    (tmp_path / "cleaning-quick").mkdir()
    (tmp_path / "cleaning-quick.npz.runs/thesis.tex").write_text("mine")
    ran = []
    real = jobs.run
    monkeypatch.setattr(jobs, "run", lambda *a, **k: ran.append(1) or real(*a, **k))
    made = run_jobs(listed[:3], place, resume=True)
    assert len(ran) == 2
    left = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))]
    runs = "cleaning-quick.npz.runs"
    assert left == ["cleaning-quick", "cleaning-quick.npz", runs, f"{runs}/thesis.tex"]
    assert [t.rows for t in load_record(listed[:3], place)] == [t.rows for t in made]
    kept = next(job for job in listed if job.keep)
    assert load_kept(kept, place).shape == (200,)
    run_jobs(listed[3:], place, resume=True)
    assert len(ran) == 3
    assert len(load_record(listed, place)) == 4
    assert main(["plot", str(place), "--out", str(tmp_path / "all.svg")]) == 0
    with pytest.raises(FileExistsError, match="is there; resume it, or move it away"):
        run_jobs(listed[:1], place)
    place.write_bytes(place.read_bytes()[:100])
    with pytest.raises(TraceError, match="is not a record"):
        run_jobs(listed[:1], place, resume=True)
    assert len(ran) == 3


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_a_trace_that_its_folder_cannot_take_is_saved_elsewhere(tmp_path, tiny, monkeypatch):
    real, tried = Trace.save, []

    def save(self, path):
        tried.append(path)
        if len(tried) == 1:
            raise OSError(errno.ENOSPC, "could not write: No space left")
        return real(self, path)

    monkeypatch.setattr(Trace, "save", save)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OSError, match="The trace is in"):
        run_jobs(cleaning.jobs(tiny, seeds=[0])[:1], tmp_path / "out")
    assert Trace.load(tried[1]).rows


@pytest.mark.usefixtures("tiny")
def test_the_command_line_runs_resumes_and_plots(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["run", "cleaning", "--seeds", "0", "--out", out, "--device", "cpu"]) == 0
    assert "6 runs of cleaning at quick scale" in capsys.readouterr().out
    assert main(["run", "cleaning", "--seeds", "0", "--out", out, "--resume"]) == 0
    assert main(["plot", out, "--x", "floats"]) == 0
    assert main(["plot", out, "--y", "auc", "--only", "graph=torus", "rate=0.2"]) == 0
    assert main(["plot", out, "--only", "graph=tree"]) == 1
    assert (tmp_path / "out/overview.svg").read_text().startswith("<?xml")
    told = Trace.load(next((tmp_path / "out").glob("d-soba_torus_*.csv"))).provenance
    assert told["command"].startswith("dsbo run cleaning --seeds 0")
    assert told["experiment"]["graph"] == "torus"
    assert json.dumps(told)


def test_the_command_line_lists_what_there_is(capsys):
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for word in ("cleaning", "DSOBA", "SOBA", "fashion_mnist"):
        assert word in said


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["run", "clean"], 2, "invalid choice"),
        (["run", "cleaning", "--scale", "huge"], 1, "no scale 'huge'; it has paper, small, quick"),
        (["run", "cleaning", "--seeds", "-1"], 2, "negative"),
        (["run", "cleaning", "--device", "abacus"], 2, "abacus"),
        (["fly"], 2, "invalid choice"),
        (["run", "cleaning-tuning", "--scale", "long"], 1, "no scale 'long'"),
        (["data", "fetch", "cifar11"], 1, "no data set 'cifar11'"),
        (["plot", "nowhere"], 1, "no traces"),
    ],
)
def test_what_the_command_line_does_not_understand_it_says(words, code, says, capsys):
    try:
        got = main(words)
    except SystemExit as error:
        got = error.code
    assert got == code
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert re.match(r"dsbo \d+\.\d+\.\d+ \(torch \d", capsys.readouterr().out)


def test_help_names_commands_and_exit_codes(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "exit codes" in said
    assert "dsbo list" in said


@pytest.mark.parametrize("path", sorted(jobs.RECORDS.glob("*.npz")), ids=lambda path: path.stem)
def test_every_record_can_be_plotted(path, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "lines", lambda *words: drawn.append(words[2]))
    assert main(["plot", str(path), "--out", str(tmp_path / "all.svg")]) == 0
    assert len(drawn) >= 1


def test_a_trace_in_one_file_and_one_without_rows_can_be_plotted_too(tmp_path, capsys):
    for name, rows in (("one", [{"step": 0, "loss": 1.0}]), ("none", [])):
        Trace(rows, {"algorithm": {"name": "X"}}).save(tmp_path / f"{name}.csv")
    for place in (tmp_path, tmp_path / "one.csv"):
        assert main(["plot", str(place), "--out", str(tmp_path / "all.svg")]) == 0
    for place, says in (("none.csv", "no trace in"), ("nothing", "no traces in"), ("all.svg", "")):
        assert main(["plot", str(tmp_path / place)]) == 1
        assert says in capsys.readouterr().err


def test_an_unknown_column_to_plot_is_refused(tmp_path, tiny, capsys):
    run_jobs(cleaning.jobs(tiny, seeds=[0])[:1], tmp_path)
    assert main(["plot", str(tmp_path), "--x", "hours"]) == 1
    assert "no column 'hours'" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_diverging_run_exits_with_three_and_keeps_its_trace(tmp_path, monkeypatch, capsys):
    wild = replace(TINY, beta=1e30, steps=12, record=1)
    monkeypatch.setitem(cleaning.SCALES, "quick", wild)
    assert main(["run", "cleaning", "--seeds", "0", "--out", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert "diverged: " in said
    assert "is not finite after step" in said
    trace = Trace.load(next(tmp_path.glob("d-soba_torus_*.csv")))
    assert trace.provenance["diverged"]["step"] >= 1
    assert trace.rows


def test_an_interrupt_and_missing_data_have_their_codes(monkeypatch, capsys):
    def unavailable(*_, **__):
        raise data.DataUnavailable("train-images is absent: put it into …")

    monkeypatch.setattr("dsbo_book.experiments.jobs.run_jobs", interrupted)
    assert main(["run", "cleaning"]) == 130
    monkeypatch.setattr("dsbo_book.experiments.jobs.run_jobs", unavailable)
    assert main(["run", "cleaning"]) == 1
    assert "put it into" in capsys.readouterr().err


def test_data_are_verified_file_by_file(capsys, monkeypatch):
    monkeypatch.setattr(
        "dsbo_book.data.registry.verify",
        lambda name: [(f"{name}/a", "ok"), (f"{name}/b", "absent")],
    )
    assert main(["data", "verify", "mnist"]) == 1
    assert "absent     mnist/b" in capsys.readouterr().out


def test_data_are_fetched_by_name_or_all(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(bytes(200_000))
    asked = []

    def fetch(name, mirror):
        asked.append((name, mirror))
        return {"file": tmp_path / "file"}

    monkeypatch.setattr("dsbo_book.data.download.fetch", fetch)
    assert main(["data", "fetch", "all", "--mirror", "http://there"]) == 0
    said = capsys.readouterr().out
    assert f"mnist: 1 files, 0.2 MB, verified, in {tmp_path}" in said
    assert asked == [(name, "http://there") for name in data.NAMES]
    assert main(["data", "fetch"]) == 1
    assert "say which data sets: mnist, " in capsys.readouterr().err


def traces():
    def one(method, graph, seed):
        rows = [{"step": k, "floats": 9 * k, "loss": 1 / (1 + k + seed)} for k in range(4)]
        told = {"method": method, "graph": graph, "rate": 0.2, "seed": seed}
        return Trace(rows, {"experiment": told})

    return [one(m, g, s) for m, g in (("D-SOBA", "torus"), ("SOBA", "complete")) for s in (0, 1)]


def test_runs_that_differ_in_the_seed_alone_make_one_line_with_a_band():
    mpl.use("agg")
    plots.apply_style()
    fig = plots.overview(traces())
    (ax,) = fig.axes
    assert len(ax.lines) == 2
    assert len(ax.collections) == 2
    np.testing.assert_allclose(ax.lines[0].get_ydata()[0], (1 + 0.5) / 2)
    assert ax.lines[0].get_label() == "D-SOBA, torus, 20% bad labels"
    plt.close(fig)


def test_a_run_of_ones_own_can_be_plotted():
    mpl.use("agg")
    own = Trace([{"step": 0, "loss": 1.0}, {"step": 1, "loss": 0.5}], {"algorithm": {"name": "X"}})
    fig = plots.overview([own])
    assert fig.axes[0].lines[0].get_label() == "X"
    plots.slope(fig.axes[0], [1, 2], 1.0, -1, "slope -1")
    plt.close(fig)
    plt.close(plots.gallery(np.zeros((3, 4, 4)), ["a", "b", "c"], columns=2))
    plots.style()
