"""What takes the original data to show: loaders, samples, and cells of all records run again."""

from __future__ import annotations

import bz2
import functools
import lzma
import math
import runpy

import pytest
import torch

from dsbo import run
from dsbo_book import data
from dsbo_book.data import registry
from dsbo_book.experiments import EXPERIMENTS
from dsbo_book.experiments.jobs import RECORDS, load_record

pytestmark = pytest.mark.originals

SIZES = {
    "mnist": (60_000, 10_000, 784, [5, 0, 4, 1, 9]),
    "fashion_mnist": (60_000, 10_000, 784, [9, 0, 0, 3, 0]),
    "cifar10": (50_000, 10_000, 3072, [6, 9, 9, 4, 1]),
}


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_file_is_the_one_that_was_published(name):
    assert {status for _, status in data.verify(name)} == {"ok"}


@pytest.mark.parametrize("name", SIZES)
def test_data_sets_have_their_known_sizes_and_first_labels(name):
    train, test, p, first = SIZES[name]
    whole = data.load(name)
    assert whole.x_train.shape == (train, p)
    assert whole.x_test.shape == (test, p)
    assert whole.y_train[:5].tolist() == first
    assert whole.y_test.bincount().tolist() == pytest.approx([1000] * 10, rel=0.15)
    for x in (whole.x_train, whole.x_test):
        assert (x.min(), x.max(), x.dtype) == (0, 1, torch.float32)


def test_the_samples_are_what_their_script_draws():
    script = runpy.run_path(str(registry.SAMPLES / "make.py"))
    made = [*script["images"](), *script["rows"]()]
    assert len(made) == sum(len(source.sample_files) for source in registry.SOURCES.values())
    for name, file, packed in made:
        unpack = bz2.decompress if file.endswith(".bz2") else lzma.decompress
        assert unpack(packed) == unpack((registry.SAMPLES / name / file).read_bytes()), file


@functools.cache
def cells(record):
    """One job for every method and kind of data, of a tuning one for every kind of data."""
    experiment, _, scale = record.rpartition("-")
    known, first = EXPERIMENTS[experiment], {}
    for job in known.jobs(known.scales[scale], None):
        method = "" if experiment.endswith("tuning") else job.told["method"]
        first.setdefault((method, job.told.get("dataset", job.told.get("problem"))), job)
    return list(first.values())


def deviation(job, trace, seed=None):
    """How far a job's first rows, run again, are from its trace: at the start, and one row later.

    In units of the larger value of each column. A ReLU network in single precision is chaotic:
    there the second number says little.
    """
    algorithm, problem, network = job.start()
    again = run(
        algorithm, problem, network, steps=job.record, record=job.record, progress=False,
        seed=job.told["seed"] if seed is None else seed,
    )  # fmt: skip
    apart = [0.0, 0.0]
    for column in set(again.rows[0]) - {"seconds"}:
        scale = max(abs(row[column]) for row in trace.rows[:2]) or 1.0
        for k in (0, 1):
            gap = abs(again.rows[k][column] - trace.rows[k][column]) / scale
            assert math.isfinite(gap), (job.name, column)
            apart[k] = max(apart[k], gap)
    return apart


@pytest.mark.parametrize("record", sorted(path.stem for path in RECORDS.glob("*.npz")))
def test_cells_of_a_record_come_out_again(record):
    for job in cells(record):
        (trace,) = load_record([job], RECORDS / f"{record}.npz")
        start, later = deviation(job, trace)
        assert start < 1e-5, job.name
        assert later < (0.3 if record.startswith(("cleaning", "sparkle")) else 1e-3), job.name


@pytest.mark.parametrize("record", ["a9a-paper", "cleaning-paper", "meta-paper"])
def test_a_cell_of_another_seed_does_not(record):
    job = cells(record)[0]
    (trace,) = load_record([job], RECORDS / f"{record}.npz")
    start, later = deviation(job, trace, seed=job.told["seed"] + 1)
    assert max(start, later) > 1e-2
