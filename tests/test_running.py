"""Runs are stored, found again if nothing differs, resumed, and never overwritten unasked."""

import errno
import tempfile
from dataclasses import replace
from functools import partial

import pytest
from small_experiment import CELLS, start

from dsbo import DSOBA, Trace, run
from dsbo.trace import TraceError
from dsbo_book.cli import main
from dsbo_book.experiments import running, stored
from dsbo_book.experiments.record import shortened
from dsbo_book.experiments.running import run_study
from dsbo_book.experiments.stored import StaleRecord, load_kept, load_record
from dsbo_book.experiments.study import Study, cross, grid, stem

begin = partial(start, steps=6, every=3)
STUDY = Study(cross(CELLS, grid(alpha=[0.1, 0.2])), begin).at_seeds([0, 1])


def of(study, *numbers):
    return replace(study, cells=[study.cells[k] for k in numbers])


@pytest.fixture
def ran(monkeypatch):
    """The seeds of the runs that are made."""
    made, one, many = [], running.run, running.sweep

    def together(runs, *a, **k):
        made.extend(seed for _, seed in runs)
        return many(runs, *a, **k)

    monkeypatch.setattr(running, "run", lambda *a, **k: made.append(k["seed"]) or one(*a, **k))
    monkeypatch.setattr(running, "sweep", together)
    return made


def test_runs_of_a_sweep_are_what_they_are_alone(tmp_path, monkeypatch):
    swept = run_study(STUDY, tmp_path / "swept")
    monkeypatch.setattr(running, "sweep", interrupted)
    monkeypatch.setattr(running, "NUMBERS", 1)
    alone = run_study(STUDY, tmp_path / "alone")
    for mine, its in zip(swept, alone, strict=True):
        assert mine.provenance["identity"] == its.provenance["identity"]
        assert mine["distance"] == pytest.approx(its["distance"], abs=1e-12)
        assert mine["floats"].tolist() == its["floats"].tolist()


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_runs_are_read_back_without_their_problems_and_stale_ones_are_refused(tmp_path):
    made = run_study(STUDY, tmp_path, command="the command")
    unmade = replace(STUDY, start=lambda cell: begin(cell)._replace(problem=described))
    described = begin(CELLS[0]).problem
    for a, b, cell in zip(made, load_record(unmade, tmp_path), STUDY.cells, strict=True):
        assert a.rows == b.rows
        assert b.provenance["command"] == "the command"
        assert b.provenance["cell"] == cell
    assert load_kept(STUDY.cells[0], tmp_path).equal(made[0].state.x.mean(0))
    with pytest.raises(
        StaleRecord, match=r"d-soba_seed-2 in .*is missing\. Make it anew: dsbo run"
    ):
        load_record(STUDY.at_seeds([2]), tmp_path)
    for changes, told in (
        ({"theta": 0.5}, r"algorithm\.theta was 0\.3, is 0\.5"),
        ({"noise": 0.1}, r"problem\.noise was 0\.5, is 0\.1"),
        ({"steps": 9, "every": 2}, "steps was 6, is 9, every was 3, is 2"),
    ):
        other = replace(STUDY, start=partial(begin, **changes))
        with pytest.raises(StaleRecord, match=f"is stale: {told}. Make it anew: dsbo run"):
            load_record(other, tmp_path)
    near = of(STUDY, 0)
    near = replace(near, cells=[near.cells[0] | {"alpha": 0.1 + 1e-9}])
    with pytest.raises(StaleRecord, match=r"stale: cell\.alpha was 0\.1, is 0\.100000001, algor"):
        load_record(near, tmp_path)


def test_resuming_makes_only_what_is_missing_broken_or_cut_short(tmp_path, ran):
    run_study(of(STUDY, 0), tmp_path)
    assert len(run_study(of(STUDY, 0, 1), tmp_path, resume=True)) == 2
    assert ran == [0, 1]
    path = tmp_path / f"{stem(STUDY.cells[1])}.csv"
    whole = Trace.load(path)
    Trace(whole.rows[:-1], whole.provenance).save(path)
    with pytest.raises(StaleRecord, match="was cut short: it has 2 rows of 3"):
        load_record(of(STUDY, 1), tmp_path)
    (again,) = run_study(of(STUDY, 1), tmp_path, resume=True)
    assert [row["step"] for row in again.rows] == [0, 3, 6]
    path.write_text("half a")
    run_study(of(STUDY, 0, 1), tmp_path, resume=True)
    assert ran == [0, 1, 1, 1]
    (tmp_path / f"{stem(STUDY.cells[0])}.safetensors").unlink()  # its x̄ is to be kept
    run_study(of(STUDY, 0, 1), tmp_path, resume=True)
    assert ran == [0, 1, 1, 1, 0]


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(tmp_path):
    checkpoint = tmp_path / ".checkpoints" / stem(STUDY.cells[0])
    other = STUDY.start(STUDY.cells[1])
    run(DSOBA(0.5, 0.5, 0.5), other.problem(), other.network, 2, checkpoint=checkpoint)
    with pytest.warns(UserWarning, match="starts anew: the checkpoint belongs to another run"):
        (trace,) = run_study(of(STUDY, 0), tmp_path, resume=True)
    assert [row["step"] for row in trace.rows] == [0, 3, 6]


def test_finished_runs_are_not_overwritten_unasked(tmp_path, ran):
    run_study(of(STUDY, 0), tmp_path)
    with pytest.raises(FileExistsError, match="holds 1 of these 4 runs already; keep them with"):
        run_study(STUDY, tmp_path)
    run_study(of(STUDY, 1), tmp_path)
    assert ran == [0, 1]


def test_of_a_folder_only_itself_is_written_and_nothing_is_left_of_the_trial(tmp_path, monkeypatch):
    tried, real = [], running.require_writable
    monkeypatch.setattr(
        running, "require_writable", lambda path: tried.append(path.parent) or real(path)
    )
    run_study(of(STUDY, 0), tmp_path / "out")
    assert set(tried) == {tmp_path / "out"}
    assert {path.suffix for path in (tmp_path / "out").iterdir()} <= {".csv", ".safetensors", ""}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("out", ["file/out", "file/out.npz"])
def test_a_place_that_cannot_be_written_is_told_before_the_first_run(tmp_path, ran, out):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match=r"could not write .*choose another folder"):
        run_study(STUDY, tmp_path / out)
    assert not ran


UNWRITABLE = (
    *("shut", "shut/out", "shut/deep/out", "shut/out.npz", "to-shut", "to-shut.npz"),
    *("dark", "dark/out", "dark/out.npz", "itself", "itself.npz", "/proc/out", "/dev/null"),
    *("file", "taken", "folder.npz", "in-the-way.npz", "x" * 300, "x" * 246 + ".npz"),
)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("out", UNWRITABLE)
def test_before_the_first_run_every_file_is_known_to_be_writable(bound, ran, out, resume):
    for name, mode in (("shut", 0o500), ("dark", 0)):
        (bound / name).mkdir(mode)
    (bound / "folder.npz").mkdir()
    (bound / "taken" / f"{stem(STUDY.cells[0])}.csv").mkdir(parents=True)
    for name in ("file", "in-the-way.npz.runs"):
        (bound / name).write_text("no folder")
    for name, target in (("to-shut", "shut/out"), ("itself", "itself")):
        (bound / name).symlink_to(target)
        (bound / f"{name}.npz").symlink_to(f"{target}.npz")
    try:
        with pytest.raises(OSError, match=r"could not write .*[^.]\. Free some .* another folder$"):
            run_study(STUDY, bound / out, resume=resume)
    finally:
        (bound / "dark").chmod(0o700)
    assert not ran


def test_a_record_takes_the_place_of_the_folder_of_a_run(tmp_path, monkeypatch, ran):
    place = tmp_path / "small-quick.npz"
    whole = running.write
    monkeypatch.setattr(running, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_study(of(STUDY, 0), place)
    monkeypatch.setattr(running, "write", whole)
    (tmp_path / "small-quick.npz.runs/thesis.tex").write_text("mine")
    with pytest.raises(FileExistsError, match="holds 1 of these 3 runs"):
        run_study(of(STUDY, 0, 1, 2), place)
    made = run_study(of(STUDY, 0, 1, 2), place, resume=True)
    assert len(ran) == 3
    left = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))]
    runs = "small-quick.npz.runs"
    assert left == ["small-quick.npz", runs, f"{runs}/thesis.tex"]
    for held, trace in zip(load_record(of(STUDY, 0, 1, 2), place), made, strict=True):
        assert held.rows == [*map(shortened, trace.rows)]
    assert load_kept(STUDY.cells[2], place).equal(made[2].state.x.mean(0))
    run_study(of(STUDY, 3), place, resume=True)
    assert len(ran) == 4
    assert len(load_record(STUDY, place)) == 4
    assert main(["plot", str(place), "--out", str(tmp_path / "all.svg")]) == 0
    with pytest.raises(
        StaleRecord, match=r"missing; in the one most alike alpha was 0\.[12], is 0"
    ):
        load_record(Study([STUDY.cells[2] | {"alpha": 0.3}], begin), place)
    with pytest.raises(FileExistsError, match="is there; resume it, or move it away"):
        run_study(STUDY, place)
    place.write_bytes(place.read_bytes()[:100])
    with pytest.raises(TraceError, match="is not a record"):
        run_study(STUDY, place, resume=True)
    assert len(ran) == 4


def test_a_run_that_diverged_is_whole_up_to_there(tmp_path, ran):
    wild = Study([CELLS[0] | {"alpha": 1e200}], partial(start, steps=40, every=1))
    (lost,) = run_study(wild, tmp_path)
    step = lost.provenance["diverged"]["step"]
    assert len(lost.rows) == step < 40
    run_study(wild, tmp_path, resume=True)
    assert ran == [0]
    Trace(lost.rows[:-1], lost.provenance).save(tmp_path / f"{stem(wild.cells[0])}.csv")
    with pytest.raises(StaleRecord, match=f"has {step - 1} rows of {step}"):
        load_record(wild, tmp_path)


def test_a_trace_that_its_folder_cannot_take_is_saved_elsewhere(tmp_path, monkeypatch):
    real, tried = Trace.save, []

    def save(self, path):
        tried.append(path)
        if len(tried) == 1:
            raise OSError(errno.ENOSPC, "could not write: No space left")
        return real(self, path)

    monkeypatch.setattr(Trace, "save", save)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OSError, match="The trace is in"):
        run_study(of(STUDY, 0), tmp_path / "out")
    assert Trace.load(tried[1]).rows


def test_a_missing_record_is_told_with_the_command_that_makes_it(tmp_path, monkeypatch):
    path, how = (
        tmp_path / "a9a-tuning-paper.npz",
        "dsbo run a9a-tuning --scale paper --resume --out",
    )
    with pytest.raises(StaleRecord, match=f"is missing. Make it anew: {how} {path}"):
        load_record(STUDY, path)
    monkeypatch.setattr(stored, "RECORDS", tmp_path)
    with pytest.raises(StaleRecord, match=f"install dsbo anew. Make it anew: {how}"):
        load_record(STUDY, path)
    with pytest.raises(StaleRecord, match=r"is missing\. Make it anew: dsbo run, with --resume"):
        load_record(STUDY, tmp_path / "elsewhere/mine.npz")
