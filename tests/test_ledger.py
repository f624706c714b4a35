"""The page of claims: a verdict stands only on what an executed page recorded."""

from __future__ import annotations

import json
from pathlib import Path

import claims_ledger as ledger
import pytest
import yaml

from dsbo_book.stated import Claim

BOOK = Path(__file__).resolve().parents[1] / "book"
HELD = vars(Claim("1 + 1 = 2", "claim", "checked", None, None, True, number=1))
MISSED = vars(Claim("1 + 1 = 3", "refuted", "numerical", 1.0, 0.5, True, number=2))
ENTRY = {
    "paper": "dsoba",
    "place": "Theorem 1",
    "statement": "It adds up.",
    "verdict": "derived",
    "page": "sums",
    "claim": "1 + 1 = 2",
}


@pytest.fixture
def book(tmp_path):
    """A book of two pages, of which one has code and has recorded a claim and a refutation."""
    (tmp_path / "_toc.yml").write_text("root: intro\nparts:\n- chapters:\n  - file: sums\n")
    (tmp_path / "intro.md").write_text("# Hello\n")
    (tmp_path / "sums.md").write_text(
        "---\na: b\n---\n\n# Sums\n\n```{code-cell}\n# no title\n```\n"
    )
    folder = tmp_path / "_build/claims"
    folder.mkdir(parents=True)
    lines = [json.dumps(record) for record in (HELD, {"page": "sums", **MISSED})]
    (folder / "sums.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def records_of(book):
    return ledger.load_records(book / "_build/claims", ledger.executed_pages(book))


def read(tmp_path, *items):
    path = tmp_path / "ledger.yml"
    path.write_text(yaml.safe_dump(list(items)))
    return ledger.load_ledger(path)


def verdict(book, **change):
    entries, wrong = read(book, ENTRY | change)
    assert not wrong
    return ledger.unsupported(entries[0], records_of(book))


@pytest.mark.parametrize(("number", "told"), [(0, "0 claims"), (1, "1 claim"), (2, "2 claims")])
def test_one_is_no_plural(number, told):
    assert ledger.counted(number, "claim") == told


def test_only_pages_with_code_are_expected_to_record(book):
    assert ledger.executed_pages(book) == {"sums": "Sums"}


def test_records_come_back_in_order_with_their_badges(book):
    held, missed = records_of(book)["sums"]
    assert held.badge == "✓ checked"
    assert missed.badge == "✗ false: |error| 1 ≥ 0.5"
    assert [held.number, missed.number] == [1, 2]


def test_a_page_that_recorded_nothing_is_missing_not_empty(book):
    (book / "_build/claims/sums.jsonl").unlink()
    assert records_of(book) == {}
    (book / "_build/claims/sums.jsonl").write_text("")
    assert records_of(book) == {"sums": []}


def test_records_of_an_earlier_form_are_missing(book):
    lines = [{k: v for k, v in record.items() if k != "how"} for record in (HELD, MISSED)]
    (book / "_build/claims/sums.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert records_of(book) == {}


def test_a_verdict_with_a_recorded_claim_stands(book):
    assert verdict(book) == []
    assert verdict(book, claim=["1 + 1 = 2", "1 + 1 = 3"]) == []
    assert verdict(book, verdict="not reproduced", claim="1 + 1 = 3") == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"claim": "2 + 2 = 4"}, "recorded no claim '2 + 2 = 4'"),
        ({"claim": ["1 + 1 = 2", "2 + 2 = 4"]}, "recorded no claim '2 + 2 = 4'"),
        ({"page": "products"}, "the page 'products' recorded nothing"),
        ({"claim": "1 + 1 = 3"}, "rests on refutations only"),
    ],
)
def test_a_verdict_without_one_does_not(book, change, said):
    (message,) = verdict(book, **change)
    assert said in message
    assert message.startswith("D-SOBA, the slides, Theorem 1: derived")


def test_a_claim_that_failed_supports_nothing(book):
    path = book / "_build/claims/sums.jsonl"
    path.write_text(json.dumps(HELD | {"ok": False}) + "\n")
    (message,) = verdict(book)
    assert "failed" in message


def test_what_is_not_checked_needs_no_page(book):
    plain = {name: ENTRY[name] for name in ledger.FIELDS} | {"verdict": "not checked"}
    (entry,), wrong = read(book, plain | {"why": "Too long to add."})
    assert not wrong
    assert entry.why == "Too long to add."
    assert ledger.unsupported(entry, {}) == []


@pytest.mark.parametrize("why", [{}, {"why": ""}])
def test_what_is_not_checked_says_why(book, why):
    plain = {name: ENTRY[name] for name in ledger.FIELDS} | {"verdict": "not checked"}
    entries, (message,) = read(book, plain | why)
    assert not entries
    assert "says why" in message


@pytest.mark.parametrize("word", [word for word in ledger.VERDICTS if word != ledger.UNCHECKED])
def test_every_other_verdict_needs_a_claim(book, word):
    assert verdict(book, verdict=word) == []
    assert verdict(book, verdict=word, claim="2 + 2 = 4")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "obvious"}, "no such paper or verdict"),
        ({"paper": "sparkle"}, "no such paper or verdict"),
        ({"verdict": "not checked"}, "names a page and a claim"),
        ({"claim": ""}, "names a page and a claim"),
        ({"page": None}, "names a page and a claim"),
        ({"why": "It is hard."}, "says why"),
        ({"statement": ""}, "lacks ['statement']"),
        ({"remark": "trust me"}, "does not know ['remark']"),
    ],
)
def test_an_ill_formed_entry_is_reported_and_left_out(book, change, said):
    entries, (message,) = read(book, ENTRY | change)
    assert not entries
    assert said in message
    assert "entry 1" in message


def test_the_ledger_of_the_book_is_well_formed_and_names_executed_pages():
    entries, wrong = ledger.load_ledger(BOOK / "ledger.yml")
    assert not wrong
    assert {e.paper for e in entries} == set(ledger.PAPERS)
    assert {e.page for e in entries} - {""} <= set(ledger.executed_pages(BOOK))
    told = [(e.paper, e.place, e.statement) for e in entries]
    assert len(told) == len(set(told))
