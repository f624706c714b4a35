"""The seeded faults of ``nox -s mutants`` still find the lines that they change."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_fault_finds_its_line_once():
    mutants = runpy.run_path(str(ROOT / "bench/mutants.py"))["MUTANTS"]
    found = [(m.what, (ROOT / m.file).read_text("utf-8").count(m.old)) for m in mutants]
    assert [what for what, times in found if times != 1] == []
