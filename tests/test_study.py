"""An experiment is data: its cells, what they start, and all that tells a run from another."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import platformdirs
import pytest
from small_experiment import CELLS, start

from dsbo import Dense, Sparse
from dsbo.algorithms import Algorithm
from dsbo_book import data
from dsbo_book.experiments import EXPERIMENTS, networks, recorded, tasks
from dsbo_book.experiments.record import read
from dsbo_book.experiments.stored import RECORDS, _differences
from dsbo_book.experiments.study import Start, Study, cross, grid, identity, stem

STUDIES = [(name, scale) for name, known in EXPERIMENTS.items() for scale in known.scales]


def test_cells_are_products_of_axes_and_unions_of_them():
    pair = grid(method=["a"], rate=[0.1, 0.2]) + grid(method=["b"], rate=[0.1])
    assert cross(pair, grid(seed=[0, 1]))[1:3] == [
        {"method": "a", "rate": 0.1, "seed": 1},
        {"method": "a", "rate": 0.2, "seed": 0},
    ]
    study = Study(cross(pair, grid(seed=[0, 1])), start)
    assert (study.axis("rate"), study.axis("seed"), study.axis("T")) == ([0.1, 0.2], [0, 1], [])
    assert study.at_seeds([7]).cells == cross(pair, [{"seed": 7}])


def test_cells_that_would_share_a_file_are_refused():
    assert stem({"graph": "y, z", "rate": 1e-5, "T": 32}) == "t-32_graph-y-z_rate-1e-05"
    assert stem({"a": 1, "b": 2}) == stem({"b": 2, "a": 1})
    with pytest.raises(ValueError, match=r"more than one cell is called method-a_rate-0\.1"):
        Study(grid(method=["a", "A"], rate=[0.1]), start)


@pytest.mark.parametrize(("name", "scale"), STUDIES)
def test_every_study_is_told_by_its_cells_and_identities_without_data(name, scale, monkeypatch):
    monkeypatch.setattr(data.registry, "verified", None)  # which every reader calls
    study = EXPERIMENTS[name].study(scale)
    for cell in study.cells:
        told = identity(study.start(cell))
        assert type(cell["seed"]) is int
        assert told["problem"].get("seed", cell["seed"]) in (cell["seed"], cell.get("split"), 0)
        assert bool(told["data"]) == ("dataset" in told["problem"])
    if name.endswith("tuning"):
        reported = EXPERIMENTS[name.removesuffix("-tuning")].study(scale)
        assert not set(study.axis("seed")) & set(reported.axis("seed"))
        assert set(study.axis("method")) <= set(reported.axis("method"))


def changed(**changes):
    (cell,) = CELLS
    return identity(start(cell, **changes))


def test_an_identity_tells_of_everything_that_shapes_the_numbers():
    (cell,) = CELLS
    one, now = start(cell), changed()
    assert now == changed()
    for key, told in (
        ("problem", changed(noise=0.4)),
        ("algorithm", changed(theta=0.2)),
        ("steps", changed(steps=100)),
        ("every", changed(every=10)),
        ("network", identity(one._replace(network=Sparse(one.network.W)))),
        ("network", identity(one._replace(network=Dense(0.5 * one.network.W + 0.5 * np.eye(6))))),
        ("problem", identity(one._replace(problem=partial(one.problem, N=5)))),
        ("problem", identity(one._replace(problem=partial(another, N=6, noise=0.5)))),
    ):
        assert [name for name in now if now[name] != told[name]] == [key]
    assert identity(one._replace(compile=True, keep=False)) == now


@pytest.mark.parametrize(("name", "scale"), STUDIES)
def test_no_identity_depends_on_digits_that_differ_between_processors(name, scale, monkeypatch):
    study = EXPERIMENTS[name].study(scale)
    kinds = {(cell["method"], cell["seed"]): cell for cell in study.cells}.values()
    before = [identity(study.start(cell)) for cell in kinds]
    for known in (networks.random, networks.regular):
        known.cache_clear()
    for solver in ("eigvals", "eigvalsh", "norm"):
        exact = getattr(np.linalg, solver)
        monkeypatch.setattr(
            np.linalg, solver, lambda *args, f=exact, **kw: f(*args, **kw) * (1 + 1e-15)
        )
    after = [identity(study.start(cell)) for cell in kinds]
    for known in (networks.random, networks.regular):
        known.cache_clear()
    assert [_differences(*pair) for pair in zip(before, after, strict=True)] == [""] * len(before)


def test_steps_of_numpy_are_no_other_steps():
    was = {"cell": {"alpha": 0.1, "beta": 1.0}}
    assert not _differences(was, {"cell": {"alpha": np.float64(0.1), "beta": np.float64(1)}})
    assert "beta was 1.0" in _differences(was, {"cell": {"alpha": 0.1, "beta": np.float64(2)}})


def another(N, noise):
    raise NotImplementedError


def test_an_identity_tells_of_defaults_and_of_the_data(monkeypatch):
    described = partial(tasks.cleaning, rate=0.2, seed=3)
    told = identity(start(CELLS[0])._replace(problem=described))
    assert told["problem"]["function"] == "cleaning"
    assert told["problem"]["hidden"] == 300
    sources = data.registry.SOURCES
    assert told["data"] == sources["fashion_mnist"].files
    sample = partial(described, dataset="fashion_mnist-sample")
    told = identity(start(CELLS[0])._replace(problem=sample))
    assert told["data"] == sources["fashion_mnist"].sample_files
    monkeypatch.setitem(
        sources, "fashion_mnist", replace(sources["fashion_mnist"], sample_files={"a": "b"})
    )
    assert identity(start(CELLS[0])._replace(problem=sample))["data"] == {"a": "b"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_kind_of_run_starts_at_quick_scale_without_a_download(name, monkeypatch, tmp_path):
    monkeypatch.setenv("DSBO_DATA", str(tmp_path))
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: tmp_path)
    study = EXPERIMENTS[name].study("quick")
    kinds = {(cell.get("method"), cell.get("problem")): cell for cell in study.cells}
    for cell in kinds.values():
        begun = study.start(cell)
        assert isinstance(begun, Start)
        assert isinstance(begun.algorithm, Algorithm)
        assert begun.problem().agents == begun.network.agents


def test_every_record_is_of_a_study_and_every_study_but_the_quick_has_one():
    files = sorted(RECORDS.glob("*.npz"))
    assert [path.stem for path in files] == sorted(f"{n}-{s}" for n, s in recorded())
    assert sum(path.stat().st_size for path in files) < 4e6
    for path in files:
        for name, trace in read(path).traces.items():
            assert stem(trace.provenance["cell"]) == name
            assert {"commit", "versions", "device"} <= set(trace.provenance)


@pytest.mark.parametrize("path", sorted(RECORDS.glob("*.npz")), ids=lambda path: path.stem)
def test_the_command_of_a_record_names_no_folder_of_one_machine(path):
    name, _, scale = path.stem.rpartition("-")
    for trace in read(path).traces.values():
        command = trace.provenance["command"]
        assert command.startswith(f"dsbo run {name} --scale {scale} ")
        assert " /" not in command


def test_the_registry_says_the_scales_of_its_studies_and_is_cheap():
    for known in EXPERIMENTS.values():
        for scale in known.scales:
            assert known.study(scale).cells
        table = getattr(sys.modules[known.module], known.table)
        assert set(known.scales) == set(table)
    with pytest.raises(ValueError, match="no scale 'long'; it has paper, quick"):
        EXPERIMENTS["sparkle"].study("long")
    what = "import sys, dsbo_book.experiments; print({'torch', 'pandas', 'numpy'} & {*sys.modules})"
    words = [sys.executable, "-c", what]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "set()"
