"""The command line, on a sample that comes with the package."""

import errno
import os
import re
import subprocess
import sys
from functools import partial

import pytest

from dsbo import Trace
from dsbo_book import data, plots
from dsbo_book.cli import main
from dsbo_book.experiments import cleaning, stored, tasks
from dsbo_book.experiments.study import Study

TASK = partial(tasks.cleaning, dataset="fashion_mnist-sample", train=200, clean=100, hidden=8)
TINY = Study(cleaning.STUDIES["quick"].cells, partial(cleaning.quick, task=TASK, steps=6, every=3))


RECORD = "cleaning-small"
ODD = ("one", "1.5", "", "1e3", "0x1", "nan")
NOWHERE = ("meta", "xla", "hpu", "hip", "lazy", "vulkan", "privateuseone", "cpu:-1", "", "cuda:99")
NO_TIME = ("0", "-1", "nan", "inf", "1e300", "1e-400")
NO_PICTURE = ("one", "one.txt", "one.", ".svg", "", "one.doc")


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(cleaning.STUDIES, "quick", TINY)
    return TINY


@pytest.mark.usefixtures("tiny")
def test_the_command_line_runs_resumes_and_plots(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["run", "cleaning", "--seeds", "0", "--out", out, "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "6 runs of cleaning at quick scale" in said
    assert "\n6 of 6: " in said
    assert main(["run", "cleaning", "--seeds", "0", "--out", out, "--resume"]) == 0
    assert main(["plot", out, "--x", "floats"]) == 0
    assert main(["plot", out, "--y", "auc", "--only", "graph=torus", "rate=0.2"]) == 0
    for words, says in (
        (["--only", "graph=tree"], "fits graph=tree"),
        (["--x", "hours"], "no column 'hours'"),
    ):
        assert main(["plot", out, *words]) == 1
        assert says in capsys.readouterr().err
    assert (tmp_path / "out/overview.svg").read_text().startswith("<?xml")
    (path,) = (tmp_path / "out").glob("*_graph-torus_method-d-soba_*.csv")
    told = Trace.load(path).provenance
    assert told["command"].startswith("dsbo run cleaning --seeds 0")
    assert told["cell"]["graph"] == "torus"
    capsys.readouterr()
    assert main(["run", "cleaning", "--out", out]) == 1
    assert "holds 6 of these 6 runs already; keep them with --resume" in capsys.readouterr().err


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
        *((["run", "cleaning", "--seeds", "0", s], 2, f"'{s}' is no whole number") for s in ODD),
        (["run", "cleaning", "--seeds", str(2**63)], 2, "too large; give whole numbers from 0"),
        (["run", "cleaning", "--seeds", "2", "1", "2"], 1, "the seed 2 is given more than once"),
        *(
            (["run", "cleaning", "--device", d], 2, f"computed on the device '{d}'")
            for d in NOWHERE
        ),
        *((["run", "cleaning", "--timeout", s], 2, "give seconds above 0") for s in NO_TIME),
        (["run", "cleaning", "--timeout", "soon"], 2, "could not convert string to float: 'soon'"),
        (["run", "cleaning", "--out", "/dev/null"], 1, "/dev/null is not a folder"),
        *(
            (["plot", RECORD, "--only", s], 2, f"'{s}' is not KEY=VALUE")
            for s in ("rate", "=1", "")
        ),
        (["plot", RECORD, "--only", "rat=1"], 1, "fits rat=1; cells have the keys "),
        (["plot", RECORD, "--only", "rat=None"], 1, "fits rat=None"),
        *(
            (["plot", RECORD, axis, "hours"], 1, "no column 'hours'; all")
            for axis in ("--x", "--y")
        ),
        *((["plot", RECORD, "--out", s], 2, f"'{s}' does not end in one of ") for s in NO_PICTURE),
        (["plot", RECORD, "--out", "/dev/null/a.svg"], 1, "could not write /dev/null/a.svg: "),
        (["plot", RECORD, "--out", "/proc/a.svg"], 1, "could not write /proc/a.svg: "),
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


@pytest.mark.parametrize("suffix", [".eps", ".jpeg", ".pdf", ".png", ".svg", ".tiff", ".webp"])
def test_a_figure_is_written_as_its_suffix_says(suffix, tmp_path, monkeypatch):
    Trace([{"step": 0, "loss": 1.0}], {"algorithm": {"name": "X"}}).save(tmp_path / "one.csv")
    out = tmp_path / f"new/one{suffix.upper()}"
    assert main(["plot", str(tmp_path), "--out", str(out)]) == 0
    before = out.read_bytes()
    assert before
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    assert main(["plot", str(tmp_path), "--out", str(out)]) == 1
    assert out.read_bytes() == before
    assert list(out.parent.iterdir()) == [out]


def full(_, path, **__):
    path.write_bytes(b"half")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_version_help_and_list_say_what_there_is(capsys):
    for word, says in (
        ("--version", r"dsbo \d+\.\d+\.\d+ \(torch \d"),
        ("--help", r"(?s).*dsbo list.*exit codes"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([word])
        assert ended.value.code == 0
        assert re.match(says, capsys.readouterr().out)
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for word in ("Experiment 2); paper, small, quick", "DSOBA", "SOBA", "fashion_mnist"):
        assert word in said
    starts = {len(re.match(r"  \S+ +", line)[0]) for line in said.splitlines() if line[0] == " "}
    assert len(starts) == 1


@pytest.mark.parametrize("path", sorted(stored.RECORDS.glob("*.npz")), ids=lambda path: path.stem)
def test_every_record_can_be_plotted(path, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "lines", lambda *words: drawn.append(words[2]))
    assert main(["plot", path.stem, "--out", str(tmp_path / "all.svg")]) == 0
    assert len(drawn) >= 1


def test_a_trace_in_one_file_and_one_without_rows_can_be_plotted_too(tmp_path, capsys):
    for name, rows in (("one", [{"step": 0, "loss": 1.0}]), ("none", [])):
        Trace(rows, {"algorithm": {"name": "X"}}).save(tmp_path / f"{name}.csv")
    for place in (tmp_path, tmp_path / "one.csv"):
        assert main(["plot", str(place), "--out", str(tmp_path / "all.svg")]) == 0
    for place, says in (("none.csv", "no trace in"), ("nothing", "no traces in"), ("all.svg", "")):
        assert main(["plot", str(tmp_path / place)]) == 1
        assert says in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_diverging_run_exits_with_three_and_keeps_its_trace(tmp_path, monkeypatch, capsys):
    cells = [cell | {"beta": 1e30} for cell in TINY.cells]
    wild = Study(cells, partial(TINY.start, steps=12, every=1))
    monkeypatch.setitem(cleaning.STUDIES, "quick", wild)
    assert main(["run", "cleaning", "--seeds", "0", "--out", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert "diverged: " in said
    assert "is not finite after step" in said
    trace = Trace.load(next(tmp_path.glob("*_graph-torus_*.csv")))
    assert trace.provenance["diverged"]["step"] >= 1
    assert trace.rows


def test_an_interrupt_and_missing_data_have_their_codes(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    def unavailable(*_, **__):
        raise data.DataUnavailable("train-images is absent: put it into …")

    monkeypatch.setattr("dsbo_book.experiments.running.run_study", interrupted)
    assert main(["run", "cleaning"]) == 130
    monkeypatch.setattr("dsbo_book.experiments.running.run_study", unavailable)
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


def test_a_terminal_without_unicode_and_a_reader_that_has_seen_enough():
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = f"{sys.executable} -m dsbo list"
    for line in (command, f"{command} | head -1"):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], env=environment, capture_output=True, check=True
        )
        assert done.stdout.startswith(b"experiments (dsbo run NAME")
        assert done.stderr == b""
