"""The seeded faults of ``nox -s mutants`` find the lines that they change."""

import functools
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REMEDY = "python bench/find_faults.py PAGE looks for a new one"


@pytest.fixture
def mutants(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("mutants")


def test_every_fault_finds_its_line_once(mutants):
    faults = mutants.every()
    assert {m.file for m in faults} >= {str(path.relative_to(ROOT)) for path in mutants.FORMULAS}
    texts = {m.file: (ROOT / m.file).read_text("utf-8") for m in faults}
    assert [m.what for m in faults if texts[m.file].count(m.old) != 1] == []
    assert len({m.what for m in faults}) == len(faults)
    assert len(faults) >= 120


def test_a_fault_for_a_section_is_in_a_cell_before_its_claims_or_in_one_of_them(mutants):
    forks, pages = (importlib.import_module(name) for name in ("forks", "pages"))
    page = functools.cache(lambda file: list(pages.cells((ROOT / file).read_text("utf-8"))))
    for m in mutants.page_faults():
        if m.file != f"book/{m.page}.md":
            continue
        where = [
            k for k, (section, cell) in enumerate(page(m.file))
            if section == m.section and pages.claims(cell.source)
        ]  # fmt: skip
        changed, _ = forks.changed(page(m.file), m.old, m.new)
        assert changed in where if m.own else changed < max(where, default=-1), (m.what, REMEDY)
