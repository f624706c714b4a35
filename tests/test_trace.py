"""Traces: written whole or not at all, and read back as they were."""

import errno
import math
import os
import stat
import threading

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from dsbo import Trace, TraceError
from dsbo.checkpoint import Checkpoint
from dsbo.trace import replacing
from dsbo_book import claims
from dsbo_book.experiments import record

ROWS = [
    {"step": 0, "floats": 0, "loss": 0.1 + 0.2, "auc": math.nan},
    {"step": 5, "floats": 10**12, "loss": 1e-300, "auc": 0.5},
]


def trace():
    return Trace([dict(row) for row in ROWS], {"seed": 3, "W": [[0.5, 0.5], [0.5, 0.5]]})


def test_a_trace_comes_back_with_its_provenance_and_every_digit(tmp_path):
    path = trace().save(tmp_path / "new/folder/one.csv")
    back = Trace.load(path)
    assert back.provenance == trace().provenance
    pd.testing.assert_frame_equal(back.frame, trace().frame, check_exact=True)


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"use \.csv"):
        trace().save(tmp_path / "trace.xls")


def test_an_unknown_column_is_named_with_those_there_are():
    with pytest.raises(KeyError, match="no column 'los'; the trace has step, floats, loss, auc"):
        trace()["los"]


def test_a_trace_prints_its_size_and_last_row():
    assert repr(trace()).startswith("Trace(2 rows, last {'step': 5")
    assert repr(Trace()) == "Trace(0 rows)"


@pytest.mark.parametrize("content", [b"", b"step,loss\n1,2\n", b"# {bad json\nstep\n1\n"])
def test_what_is_not_a_trace_is_refused(tmp_path, content):
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(TraceError, match="is not a trace"):
        Trace.load(path)


@pytest.mark.parametrize(("was", "now"), [('"seed": 3', '"seed": 4'), ("0.5\n", "0.6\n")])
def test_neither_provenance_nor_rows_can_be_changed_unseen(tmp_path, was, now):
    path = trace().save(tmp_path / "one.csv")
    path.write_text(path.read_text("utf-8").replace(was, now), "utf-8")
    with pytest.raises(TraceError, match="changed after it was written; make it anew"):
        Trace.load(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        Trace.load(tmp_path / "none.csv")


def test_a_full_disk_leaves_the_earlier_version(tmp_path, monkeypatch):
    path = trace().save(tmp_path / "one.csv")
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match=r"No space left.*earlier version is untouched") as caught:
        trace().save(path)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def claimed(path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSBO_CLAIMS", str(path))
        claims.claim("a thing is itself", 1, 1)
    return path


def kept(path):
    with replacing(path) as part:
        save_file({"xbar": np.zeros(2)}, part)
    return path


WRITERS = {
    "trace.csv": lambda path: trace().save(path),
    "record.npz": lambda path: record.write(path, {"one": trace()}, {}),
    "checkpoint.safetensors": lambda path: Checkpoint(1, {}, [], {}, 0.0, {}).write(path.parent),
    "kept.safetensors": kept,
    "claims.jsonl": claimed,
}


@pytest.fixture(params=[0o022, 0o002, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_gets_the_mode_that_the_umask_leaves_and_keeps_the_one_it_has(tmp_path, umask, name):
    path = WRITERS[name](tmp_path / name)
    assert mode(path) == 0o666 & ~umask
    path.chmod(0o640)
    assert mode(WRITERS[name](path)) == 0o640


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_written_through(tmp_path, name, there):
    target, path = tmp_path / "elsewhere" / name, tmp_path / name
    target.parent.mkdir()
    if there:
        WRITERS[name](target).chmod(0o600)
    path.symlink_to(f"elsewhere/{name}")
    WRITERS[name](path)
    assert path.is_symlink()
    assert target.stat().st_size
    assert [one.name for one in target.parent.iterdir()] == [name]
    assert not there or mode(target) == 0o600


def test_a_link_to_itself_and_a_file_in_the_way_are_told(tmp_path):
    path = tmp_path / "one.csv"
    path.symlink_to(path)
    with pytest.raises(OSError, match=r"could not write .*symbolic links.*nothing was written"):
        trace().save(path)
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file is not a folder; nothing was written"):
        trace().save(tmp_path / "file/one.csv")


def test_threads_that_write_one_file_leave_it_whole(tmp_path):
    path = tmp_path / "one.csv"
    several = [threading.Thread(target=trace().save, args=(path,)) for _ in range(8)]
    for one in several:
        one.start()
    for one in several:
        one.join()
    assert list(tmp_path.iterdir()) == [path]
    assert Trace.load(path).provenance == trace().provenance


def test_without_pandas_only_the_frame_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    back = Trace.load(trace().save(tmp_path / "one.csv"))
    assert back["floats"].tolist() == [0, 10**12]
    with pytest.raises(ImportError, match="pip install pandas"):
        _ = back.frame


def test_oracle_calls_are_the_sum_of_all_kinds():
    rows = [{"step": 1, "upper_grads": 1, "lower_grads": 2, "jvps": 3, "hvps": 4}]
    assert Trace(rows)["oracle_calls"].tolist() == [10]


@pytest.mark.parametrize("cut", [1, 3, 12, 40])
def test_a_file_that_was_cut_short_is_no_trace(tmp_path, cut):
    path = trace().save(tmp_path / "one.csv")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(TraceError, match=r"cut short or changed|is not a trace"):
        Trace.load(path)


def test_a_digit_that_was_changed_is_seen_and_files_without_a_digest_load(tmp_path):
    path = trace().save(tmp_path / "one.csv")
    head, body = path.read_text().split("\n", 1)
    path.write_text(f"{head}\n{body.replace('1', '7')}")
    with pytest.raises(TraceError, match="changed after it was written; make it anew"):
        Trace.load(path)
    path.write_text(f"# {{}}\n{body}")
    assert Trace.load(path)["loss"].tolist() == trace()["loss"].tolist()
