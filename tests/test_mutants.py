"""The seeded faults of ``nox -s mutants`` still find the lines that they change."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MUTANTS = runpy.run_path(str(ROOT / "bench/mutants.py"))["MUTANTS"]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_its_line_is_there_once(mutant):
    assert (ROOT / mutant.file).read_text("utf-8").count(mutant.old) == 1
