"""The seeded faults of ``nox -s mutants`` find the lines that they change, and were all caught."""

import functools
import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REMEDY = "python bench/find_faults.py PAGE looks for a new one"
AGAIN = "run `nox -s mutants -- --resume`"


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


def test_every_fault_was_tried_and_caught(mutants):
    found = {told["what"]: told for told in stored(mutants)["faults"]}
    wanted = {m.what: m.digest for m in mutants.every()}
    assert {what: told["digest"] for what, told in found.items()} == wanted, AGAIN
    assert [what for what, told in found.items() if not told["caught"]] == []


def test_the_claims_of_every_section_saw_a_fault(mutants):
    pages = importlib.import_module("pages")
    seen = stored(mutants)["sections"]
    texts = {path.stem: path.read_text("utf-8") for path in (ROOT / "book").glob("*.md")}
    unseen = [
        (page, section)
        for page, text in texts.items()
        for section in pages.claiming(text)
        if not seen.get(page, {}).get(section)
    ]
    assert unseen == [], (AGAIN, REMEDY)


def stored(mutants):
    return json.loads(mutants.STORED.read_text("utf-8"))
