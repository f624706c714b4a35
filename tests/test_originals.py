"""What takes the original data to show: loaders, samples, and cells of all records run again."""

from __future__ import annotations

import bz2
import functools
import lzma
import math
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dsbo import run
from dsbo_book import data
from dsbo_book.data import registry
from dsbo_book.experiments import EXPERIMENTS
from dsbo_book.experiments.stored import RECORDS, load_record

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


def test_masc_has_its_known_genres_and_sizes():
    texts = data.texts("masc")
    assert len(texts) == 20
    assert sum(map(len, texts.values())) == 2_997_890
    sample = data.texts("masc-sample")
    assert {genre: texts[genre][: len(text)] for genre, text in sample.items()} == sample


def test_the_samples_are_what_their_script_draws():
    script = runpy.run_path(str(Path(__file__).parents[1] / "bench/samples.py"))
    made = [*script["images"](), *script["rows"](), *script["texts"]()]
    assert len(made) == sum(len(source.sample_files) for source in registry.SOURCES.values())
    for name, file, packed in made:
        unpack = bz2.decompress if file.endswith(".bz2") else lzma.decompress
        assert unpack(packed) == unpack((registry.SAMPLES / name / file).read_bytes()), file


@functools.cache
def sampled(record):
    """A cell for every method and kind of data, of a tuning one for every kind of data."""
    experiment, _, scale = record.rpartition("-")
    study, first = EXPERIMENTS[experiment].study(scale), {}
    for cell in study.cells:
        method = "" if experiment.endswith("tuning") else cell["method"]
        first.setdefault((method, cell.get("dataset", cell.get("problem"))), cell)
    return replace(study, cells=list(first.values()))


def deviation(start, seed, trace):
    """How far the first rows, run again, are from a trace: at the start, and one row later.

    In units of the larger value of each column. A ReLU network in single precision is chaotic:
    there the second number says little. A spread of agents below 1e-8, as exact averaging leaves
    it, is rounding alone.
    """
    again = run(
        start.algorithm, start.problem(), start.network, steps=start.every, every=start.every,
        progress=False, seed=seed,
    )  # fmt: skip
    apart = [0.0, 0.0]
    for column in set(again.rows[0]) - {"seconds"}:
        least = 1e-8 if column.startswith("consensus") else 0.0
        scale = max(least, *(abs(row[column]) for row in trace.rows[:2])) or 1.0
        for k in (0, 1):
            gap = abs(again.rows[k][column] - trace.rows[k][column]) / scale
            assert math.isfinite(gap), column
            apart[k] = max(apart[k], gap)
    return apart


@pytest.mark.parametrize("record", sorted(path.stem for path in RECORDS.glob("*.npz")))
def test_cells_of_a_record_come_out_again(record):
    study = sampled(record)
    traces = load_record(study, RECORDS / f"{record}.npz")
    for cell, trace in zip(study.cells, traces, strict=True):
        start, later = deviation(study.start(cell), cell["seed"], trace)
        # Differences of gradients have the rounding of single precision to the power of one half,
        # and take a run as much further apart.
        first_order = "FO" in cell["method"]
        assert start < (4e-4 if first_order else 1e-5), cell
        far = 0.3 if record.startswith(("cleaning", "sparkle")) else 1e-2 if first_order else 1e-3
        assert later < far, cell


@pytest.mark.parametrize("record", ["a9a-paper", "cleaning-paper", "meta-paper"])
def test_a_cell_of_another_seed_does_not(record):
    study = sampled(record)
    cell, trace = study.cells[0], load_record(study, RECORDS / f"{record}.npz")[0]
    start, later = deviation(study.start(cell), cell["seed"] + 1, trace)
    assert max(start, later) > 1e-2
