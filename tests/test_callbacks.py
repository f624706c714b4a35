"""Who watches a run: told of everything, able to end it, and without influence on its numbers."""

import errno
import math
import sys
import types
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from cases import STEPS, lazy_ring, quadratic

from dsbo import DSOBA, Dense, Diverged, Peers, Trace, TraceError, callbacks, run
from dsbo.callbacks import Callback, EarlyStop, LiveCSV, TensorBoard, TimeLimit
from dsbo.network import spawn
from dsbo.network.ranks import here

METHOD = DSOBA(**STEPS, theta=0.3)
N = 4


def ring(kind=Dense, steps=40, **options):
    return run(METHOD, quadratic(N=N, noise=0.5)[1], kind(lazy_ring(N)), steps, every=5, **options)


def plain(trace):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in trace.rows]


def same(one, other):
    return plain(one) == plain(other) and all(map(torch.equal, one.state, other.state))


class Told(Callback):
    """Writes down what it is told, ends the run at a step, and fails where it should."""

    def __init__(self, stop=None, fails=()):
        self.told, self.stop, self.fails = [], stop, fails

    def row(self, trace):
        step = trace.rows[-1]["step"]
        self._note("row", step)
        assert len(trace.frame) == len(trace.rows)
        return "enough" if step == self.stop else None

    def kept(self, step):
        self._note("kept", step)

    def end(self, trace):
        self._note("end", trace.rows[-1]["step"])

    def _note(self, *told):
        self.told.append(told)
        if told in self.fails:
            raise ZeroDivisionError(f"a mistake in {told}")


def test_every_row_every_checkpoint_and_the_end_are_told_in_their_order(tmp_path):
    watcher = Told()
    trace = ring(steps=12, checkpoint=tmp_path, checkpoint_every=4, callbacks=[watcher])
    assert watcher.told == [
        ("row", 0), ("kept", 4), ("row", 5), ("kept", 8), ("row", 10), ("row", 12), ("kept", 12),
        ("end", 12),
    ]  # fmt: skip
    assert same(trace, ring(steps=12))
    assert len(trace.frame) == 4
    assert "stopped" not in trace.provenance


def test_a_run_that_was_ended_goes_on_as_if_nothing_had_been(tmp_path):
    first, second = Told(stop=15), Told()
    kept = {"checkpoint": tmp_path, "checkpoint_every": 100}
    trace = ring(**kept, callbacks=[first, second])
    assert [row["step"] for row in trace.rows] == [0, 5, 10, 15]
    assert trace.provenance["stopped"] == "enough"
    assert len(trace.state.x) == N
    assert first.told == second.told
    assert first.told[-3:] == [("row", 15), ("kept", 15), ("end", 15)]
    again = ring(**kept, resume=True)
    assert same(again, ring())
    assert "stopped" not in again.provenance


def test_a_run_that_is_complete_was_not_stopped_and_one_may_stop_at_its_start():
    assert "stopped" not in ring(callbacks=[Told(stop=40)]).provenance
    assert [row["step"] for row in ring(callbacks=[Told(stop=0)]).rows] == [0]
    both = ring(callbacks=[TimeLimit(0), Told(stop=0)]).provenance["stopped"]
    assert both == "the limit of 0 s was reached; enough"


def test_an_error_of_a_callback_passes_with_the_trace_and_the_end_is_told_to_all(tmp_path):
    one, other = Told(fails=[("row", 10)]), Told()
    with pytest.raises(ZeroDivisionError, match=r"mistake in \('row', 10\)") as caught:
        ring(checkpoint=tmp_path, callbacks=[one, other])
    assert [row["step"] for row in caught.value.trace.rows] == [0, 5, 10]
    assert other.told == one.told == [("row", s) for s in (0, 5, 10)] + [("kept", 10), ("end", 10)]
    one = Told(fails=[("end", 40)])
    with pytest.raises(ZeroDivisionError, match=r"mistake in .*'end', 40") as caught:
        ring(callbacks=[one, other])
    assert caught.value.trace.state is not None
    assert one.told[-2:] == other.told[-2:] == [("row", 40), ("end", 40)]
    with pytest.raises(ZeroDivisionError, match=r"mistake in .*'kept', 40"):
        ring(checkpoint=tmp_path, callbacks=[Told(fails=[("kept", 40)])])


def test_what_ends_a_run_is_not_hidden_by_a_callback_that_fails_then():
    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(ZeroDivisionError, match="row"):
        ring(callbacks=[Told(fails=[("row", 5)])], measure=lambda *_: {"one": 1})
    watcher = Told(fails=[("end", 0)])
    with pytest.raises(KeyboardInterrupt):
        ring(callbacks=[watcher], measure=interrupted)
    seen = iter([{"one": 1}])
    with pytest.raises(StopIteration) as caught:
        ring(callbacks=[watcher], measure=lambda *_: next(seen))
    assert watcher.told[-1] == ("end", 0)
    (note,) = caught.value.__notes__
    assert "a callback failed, too: ZeroDivisionError" in note


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_divergence_is_an_end(tmp_path):
    watcher = Told()
    with pytest.raises(Diverged) as caught:
        run(
            DSOBA(0.1, 1e200, 0.1), quadratic(N=N)[1], Dense(lazy_ring(N)), 50, every=1,
            checkpoint=tmp_path, callbacks=[watcher],
        )  # fmt: skip
    at = caught.value.step - 1
    assert watcher.told[-3:] == [("row", at), ("kept", at), ("end", at)]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (EarlyStop("upper_loss", 3), r"callbacks must be a list .*; write \[ \] around"),
        ([EarlyStop], r"a callback must be made as in TimeLimit\(60\), got <class"),
        ([print], "subclass of dsbo.callbacks.Callback"),
    ],
)
def test_what_is_no_callback_is_refused(given, says):
    with pytest.raises(TypeError, match=says):
        ring(callbacks=given)


@pytest.mark.parametrize("told", [True, 1, ""])
def test_a_reason_that_is_none_is_refused(told):
    class Odd(Callback):
        def row(self, trace):  # noqa: ARG002
            return told

    with pytest.raises(TypeError, match=r"Odd\.row must return None, or a text .*, got"):
        ring(callbacks=[Odd()])


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: EarlyStop(3, 1), TypeError, "metric must be the name of a column, .*got 3"),
        (lambda: EarlyStop("a", 0), ValueError, "patience must be at least 1, got 0"),
        (lambda: EarlyStop("a", 1, -0.1), ValueError, "least must be at least 0, got -0.1"),
        (lambda: TimeLimit(-1), ValueError, "seconds must be at least 0, got -1"),
        (lambda: TimeLimit("1"), TypeError, "seconds must be a number, got '1'"),
        (lambda: LiveCSV("a.txt"), ValueError, "cannot save a trace as 'a.txt'; use .csv"),
    ],
)
def test_bad_arguments_are_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()


NAN = math.nan


@pytest.mark.parametrize(
    ("values", "patience", "least", "ends"),
    [
        ([5, 4, 3, 2, 1], 1, 0.0, None),
        ([5, 4, 4, 3, 3, 3], 2, 0.0, 5),
        ([5, 4, 4], 1, 0.0, 2),
        ([5, 4.5, 4, 3.5], 1, 0.5, 1),
        ([5, 4.5, 4, 3.5], 2, 0.5, None),
        ([5, NAN, 4, NAN, NAN, 1], 2, 0.0, 4),
        ([NAN, NAN, NAN], 2, 0.0, 2),
        ([NAN, 7, NAN], 2, 0.0, None),
        ([3, 9, 8, 7, 6], 4, 0.0, 4),
    ],
)
def test_early_stopping_counts_rows_without_gain(values, patience, least, ends):
    stop, rows = EarlyStop("loss", patience, least), []
    told = []
    for value in values:
        rows.append({"loss": value})
        told.append(stop.row(Trace(rows)) is not None)
    assert (told.index(True) if any(told) else None) == ends


def test_a_metric_that_is_no_column_is_told_with_those_that_are():
    with pytest.raises(KeyError, match=r"no column 'los'; the trace has step, .*upper_loss"):
        ring(callbacks=[EarlyStop("los", 3)])


def test_a_time_limit_counts_from_when_it_was_made(monkeypatch):
    now = iter([0.0, 9.0, 10.0])
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: next(now))
    trace = ring(callbacks=[TimeLimit(10)])
    assert [row["step"] for row in trace.rows] == [0, 5]
    assert trace.provenance["stopped"] == "the limit of 10 s was reached"


class Reads(Callback):
    """Reads the file after each row."""

    def __init__(self, path):
        self.path = path

    def row(self, trace):
        assert Trace.load(self.path).rows == trace.rows
        assert len(pd.read_csv(self.path, comment="#")) == len(trace.rows)


def test_a_live_file_has_all_rows_at_all_times_and_is_the_saved_trace_at_the_end(tmp_path):
    path = tmp_path / "new" / "live.csv"
    trace = ring(callbacks=[LiveCSV(path), Reads(path)])
    assert path.read_bytes() == trace.save(tmp_path / "saved.csv").read_bytes()
    live = LiveCSV(path)
    for steps in (10, 15):
        ring(steps=steps, callbacks=[live, Reads(path)])
        assert Trace.load(path).rows[-1]["step"] == steps


def test_a_live_file_of_a_run_that_goes_on_is_that_of_one_that_never_stopped(tmp_path):
    path, kept = tmp_path / "live.csv", {"checkpoint": tmp_path, "checkpoint_every": 8}
    with pytest.raises(ZeroDivisionError):
        ring(**kept, callbacks=[LiveCSV(path), Told(fails=[("row", 25)])])
    path.write_text(path.read_text() + "30,0.1,2", "utf-8")  # as a killed process may leave it
    ring(**kept, resume=True, callbacks=[LiveCSV(path), Reads(path)])
    assert plain(Trace.load(path)) == plain(ring())


def test_a_live_file_that_was_cut_short_is_told(tmp_path):
    path = tmp_path / "live.csv"
    live = LiveCSV(path)
    live.row(Trace([{"step": 0, "loss": 0.125}]))
    assert Trace.load(path)["loss"].tolist() == [0.125]
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(TraceError, match="cut short in its last line; make it anew"):
        Trace.load(path)


def test_a_live_file_takes_columns_that_come_and_go(tmp_path):
    path = tmp_path / "live.csv"
    columns = iter([{"a": 1}, {}, {"b": 2}])
    ring(steps=10, measure=lambda *_: next(columns), callbacks=[LiveCSV(path)])
    rows = Trace.load(path).rows
    assert (rows[0]["a"], rows[2]["b"]) == (1, 2)
    assert math.isnan(rows[1]["a"])


def test_a_live_file_without_rows_is_left_alone_and_a_full_disk_is_told(tmp_path, monkeypatch):
    path = tmp_path / "live.csv"
    ring(steps=5, callbacks=[LiveCSV(path)])
    before = path.read_bytes()

    def fails(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ring(measure=fails, callbacks=[LiveCSV(path)])
    assert path.read_bytes() == before

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"No space left .*untouched") as caught:
        ring(callbacks=[LiveCSV(path)])
    assert len(caught.value.trace.rows) == 1
    assert path.read_bytes() == before


class Writer:
    """Stands for PyTorch's."""

    made: list = []  # noqa: RUF012

    def __init__(self, folder, purge_step):
        self.folder, self.purge, self.scalars, self.closed = folder, purge_step, {}, False
        Writer.made.append(self)

    def add_scalar(self, name, value, step):
        assert isinstance(value, float)
        self.scalars.setdefault(name, {})[step] = value

    def flush(self):
        assert not self.closed

    def close(self):
        self.closed = True


def test_tensorboard_gets_every_column_and_hides_what_is_done_again(tmp_path, monkeypatch):
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(Writer, "made", [])
    board, kept = TensorBoard(tmp_path / "board"), {"checkpoint": tmp_path}
    trace = ring(**kept, callbacks=[board, Told(stop=20)])
    ring(**kept, resume=True, callbacks=[board])
    first, second = Writer.made
    assert first.folder == str(tmp_path / "board")
    assert set(first.scalars) == set(trace.rows[0]) - {"step"}
    assert first.scalars["upper_loss"] == {r["step"]: r["upper_loss"] for r in trace.rows}
    assert (first.purge, second.purge) == (0, 25)
    assert list(second.scalars["floats"]) == [25, 30, 35, 40]
    assert first.closed
    assert second.closed


def test_without_tensorboard_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        TensorBoard(tmp_path)


class OnRankZero(Told):
    """May be called on rank 0 alone."""

    def _note(self, *told):
        assert here().rank == 0
        super()._note(*told)


def over(folder):
    """What a rank sees of runs that end early, fail on rank 0, and differ from rank to rank."""
    watcher = OnRankZero(15)
    trace = ring(Peers, checkpoint=folder, checkpoint_every=10, callbacks=[watcher])
    with pytest.raises(ZeroDivisionError, match="a mistake") as failed:
        ring(Peers, checkpoint=folder / "b", callbacks=[OnRankZero(fails=[("kept", 40)])])
    with pytest.raises(ValueError, match=r"callbacks is \['Told'\], on rank 0 \[\]"):
        ring(Peers, callbacks=[Told()] if here().rank else [])
    last = failed.value.trace.rows[-1]["step"]
    return trace.rows[-1]["step"], trace.provenance["stopped"], last, watcher.told


def test_rank_zero_decides_for_all_and_any_number_of_processes_goes_on(tmp_path):
    one, other = spawn(partial(over, tmp_path), 2)
    assert one[:3] == other[:3] == (15, "enough", 40)
    assert one[3][-3:] == [("row", 15), ("kept", 15), ("end", 15)]
    assert other[3] == []
    assert same(ring(Peers, checkpoint=tmp_path, resume=True), ring(Peers))
