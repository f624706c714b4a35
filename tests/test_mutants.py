"""The seeded faults of ``nox -s mutants`` still find the lines that they change."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_fault_finds_its_line_once():
    bench = runpy.run_path(str(ROOT / "bench/mutants.py"))
    mutants = [*bench["MUTANTS"], *(m for path in bench["FORMULAS"] for m in bench["signs"](path))]
    assert {m.file for m in mutants} >= {str(path.relative_to(ROOT)) for path in bench["FORMULAS"]}
    found = [(m.what, (ROOT / m.file).read_text("utf-8").count(m.old)) for m in mutants]
    assert [what for what, times in found if times != 1] == []
