"""A record holds all traces of an experiment in one file, to the last digit."""

import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dsbo import Trace
from dsbo.trace import TraceError
from dsbo_book.experiments import record

TRACES = {
    "short": Trace([{"step": 0, "loss": 0.1}, {"step": 2**40, "loss": math.nan}], {"seed": 0}),
    "long": Trace([{"step": 1, "loss": float(np.float32(0.1)), "auc": 1e300}], {"W": [[1.0]]}),
    "empty": Trace([], {"diverged": True}),
    "other": Trace([{"auc": -math.inf, "rounds": 3}], {"ä": "–"}),
}
KEPT = {"long": np.arange(3, dtype=np.float32)}


def test_what_is_written_comes_back_digit_by_digit(tmp_path):
    held = record.read(record.write(tmp_path / "all.npz", TRACES, KEPT))
    assert list(held.traces) == list(TRACES)
    for name, trace in TRACES.items():
        assert held.traces[name].provenance == trace.provenance
        assert repr(held.traces[name].rows) == repr(trace.rows)
    np.testing.assert_array_equal(held.kept["long"], KEPT["long"])
    assert held.kept["long"].dtype == np.float32


def test_single_precision_is_used_only_where_it_loses_nothing(tmp_path):
    record.write(tmp_path / "all.npz", TRACES, {})
    with np.load(tmp_path / "all.npz") as file:
        assert (file["loss"].dtype, file["step"].dtype) == (np.float64, np.int64)
    record.write(tmp_path / "one.npz", {"long": TRACES["long"]}, {})
    with np.load(tmp_path / "one.npz") as file:
        assert (file["loss"].dtype, file["auc"].dtype) == (np.float32, np.float64)


def test_times_are_kept_to_a_thousandth_of_a_second(tmp_path):
    measured = [0.0, 0.123456789, 3600.9876543]
    trace = Trace([{"seconds": seconds} for seconds in measured])
    held = record.read(record.write(tmp_path / "all.npz", {"one": trace}, {}))
    np.testing.assert_allclose(held.traces["one"]["seconds"], measured, rtol=0, atol=5e-4)
    with np.load(tmp_path / "all.npz") as file:
        assert file["seconds"].dtype == np.float32


def test_how_far_agents_are_apart_is_kept_in_single_precision(tmp_path):
    rows = [{"consensus_x": value} for value in (0.1, 1e-50, 1e38, 1e39, math.nan)]
    path = record.write(tmp_path / "all.npz", {"one": Trace(rows[:3])}, {})
    with np.load(path) as file:
        assert file["consensus_x"].dtype == np.float32
    held = record.read(record.write(path, {"one": Trace(rows)}, {})).traces["one"]
    want = [float(np.float32(0.1)), 0.0, float(np.float32(1e38)), 1e39, math.nan]
    assert repr(held["consensus_x"].tolist()) == repr(want)


def test_equal_records_are_equal_files(tmp_path):
    first, second = (record.write(tmp_path / f"{k}.npz", TRACES, KEPT) for k in "ab")
    assert first.read_bytes() == second.read_bytes()


def rewritten(path, change):
    """The same file with other JSON in it."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    told = json.loads(members["runs.json"])
    change(told)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in (members | {"runs.json": json.dumps(told)}).items():
            file.writestr(name, content)


def test_another_format_is_refused_with_its_number(tmp_path):
    path = record.write(tmp_path / "all.npz", TRACES, {})
    rewritten(path, lambda told: told.update(format=1))
    with pytest.raises(TraceError, match=r"has format 1; this version of dsbo reads 2\. Move it"):
        record.read(path)


def flipped(content):
    """The same bytes but for one within the first member."""
    return content[:99] + bytes([content[99] ^ 1]) + content[100:]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(flipped(path.read_bytes())),
        lambda path: path.write_text("step,loss\n0,1\n"),
        lambda path: np.savez(path, loss=np.zeros(3)),
        lambda path: path.write_bytes(b"\x93NUMPY" + bytes(99)),
        lambda path: rewritten(path, lambda told: told["runs"][0].update(rows=99)),
        lambda path: rewritten(path, lambda told: told["runs"][0].update(columns=["speed"])),
        lambda path: rewritten(path, lambda told: told.clear()),
        lambda path: rewritten(path, lambda told: told["runs"][0].update(kept=True)),
        lambda path: rewritten(path, lambda told: told["runs"][1].update(kept=False)),
    ],
)
def test_what_is_no_whole_record_is_refused_by_name(tmp_path, spoil):
    path = record.write(tmp_path / "all.npz", TRACES, KEPT)
    spoil(path)
    with pytest.raises(TraceError, match=r"all.npz is not a record: "):
        record.read(path)


def test_no_pickle_is_ever_read(tmp_path):
    path = record.write(tmp_path / "all.npz", TRACES, {})
    with zipfile.ZipFile(path, "a") as file, file.open("bomb.npy", "w") as member:
        np.lib.format.write_array(member, np.array([Path()], dtype=object), allow_pickle=True)
    with pytest.raises(TraceError, match="is not a record: "):
        record.read(path)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"a": 1}, {"a": 2, "b": 3.0}], "rows of one do not all have the columns a"),
        ([{"a": 1, "b": 2}, {"a": 1}], "rows of one do not all have"),
        ([{"a": 2**64}], "more than 64 bits"),
        ([{"a": 2**53 + 1}, {"a": 0.5}], "9007199254740993, which no float64 is equal to"),
        ([{"a": None}], "holds None, which is no number"),
        ([{"a": "1.5"}], "'1.5', which is no number"),
        ([{"a": 1j}], "1j, which is no number"),
        ([{"xbar/a": 1}], "cannot be called 'xbar/a'"),
        ([{"seconds": "1.5"}], "'1.5', which is no number"),
        ([{"seconds": None}], "None, which is no number"),
    ],
)
def test_what_would_not_come_back_is_refused(tmp_path, rows, says):
    with pytest.raises(ValueError, match=says):
        record.write(tmp_path / "all.npz", {"one": Trace(rows)}, {})
    assert not list(tmp_path.iterdir())


def test_a_time_that_is_not_known_is_kept(tmp_path):
    rows = [{"seconds": value} for value in (math.nan, math.inf, 1.23456)]
    held = record.read(record.write(tmp_path / "all.npz", {"one": Trace(rows)}, {}))
    assert repr(held.traces["one"]["seconds"].tolist()) == f"[nan, inf, {1264 / 1024}]"


def test_numbers_of_numpy_come_back_as_they_were(tmp_path):
    rows = [{"a": np.int64(2**62 + 1), "b": np.float32(0.1), "c": np.float64(0.1)}]
    held = record.read(record.write(tmp_path / "all.npz", {"one": Trace(rows)}, {}))
    assert held.traces["one"].rows == [{"a": 2**62 + 1, "b": float(np.float32(0.1)), "c": 0.1}]
