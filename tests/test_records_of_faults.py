"""What `nox -s mutants` found is kept: every fault was caught, and every section saw one."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REMEDY = "run `nox -s mutants -- --resume`; python bench/find_faults.py PAGE looks for new faults"


@pytest.fixture
def mutants(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("mutants")


def test_every_fault_was_tried_and_caught(mutants):
    found = {told["what"]: told for told in stored(mutants)["faults"]}
    wanted = {m.what: m.digest for m in mutants.every()}
    assert {what: told["digest"] for what, told in found.items()} == wanted, REMEDY
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
    assert unseen == [], REMEDY


def stored(mutants):
    return json.loads(mutants.STORED.read_text("utf-8"))
