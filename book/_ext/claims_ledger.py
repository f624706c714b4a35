"""What the executed pages recorded, and whether the ledger of the papers' claims rests on it.

While the tests execute a page, `dsbo_book.claims` appends each claim as a line of JSON to
``book/_build/claims/PAGE.jsonl``. Here is what the tables of `dsbo_claims` say, without Sphinx.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from dsbo_book.stated import Claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

PAPERS = {"dsoba": "D-SOBA, the slides", "diamond": "DIAMOND"}
VERDICTS = (
    "derived",
    "measured",
    "consistent with",
    "reproduced",
    "not reproduced",
    "depends",
    "not checked",
)
UNCHECKED = VERDICTS[-1]
FIELDS = ("paper", "place", "statement", "verdict")


Records = dict[str, list[Claim]]


@dataclass(frozen=True)
class Entry:
    """One statement of a paper, with the claims of one page that decide on it, or why none does."""

    paper: str
    place: str
    statement: str
    verdict: str
    page: str
    claims: tuple[str, ...]
    why: str = ""


def toc_files(node: Any) -> list[str]:
    """Return every ``file`` and ``root`` of a table of contents, in its order."""
    if isinstance(node, dict):
        own = [node[key] for key in ("root", "file") if key in node]
        return own + [f for value in node.values() for f in toc_files(value)]
    if isinstance(node, list):
        return [f for value in node for f in toc_files(value)]
    return []


def executed_pages(book: Path) -> dict[str, str]:
    """Return the titles of the pages with code, in the order of the book."""
    found = {}
    for page in toc_files(yaml.safe_load((book / "_toc.yml").read_text("utf-8"))):
        source = (book / f"{page}.md").read_text("utf-8")
        if "{code-cell}" in source:
            heads = (line[2:] for line in source.splitlines() if line.startswith("# "))
            found[page] = next(heads, page).strip()
    return found


def load_records(folder: Path, pages: Iterable[str]) -> Records:
    """Return what each page wrote; one whose file is missing, or of another form, is left out."""
    found, names = {}, Claim.__annotations__
    for page in pages:
        path = folder / f"{page}.jsonl"
        if path.is_file():
            told = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            if all(names.keys() <= each.keys() for each in told):
                found[page] = [Claim(**{name: each[name] for name in names}) for each in told]
    return found


def load_ledger(path: Path) -> tuple[list[Entry], list[str]]:
    """Return the well-formed entries, and what is wrong with the others."""
    entries: list[Entry] = []
    wrong = []
    for number, item in enumerate(yaml.safe_load(path.read_text("utf-8")), start=1):
        where = f"ledger entry {number}"
        lacking = [name for name in FIELDS if not item.get(name)]
        unknown = sorted(set(item) - {*FIELDS, "page", "claim", "why"})
        if lacking or unknown:
            wrong.append(f"{where}: lacks {lacking}, does not know {unknown}")
        elif item["paper"] not in PAPERS or item["verdict"] not in VERDICTS:
            wrong.append(f"{where}: {item['paper']}, {item['verdict']}: no such paper or verdict")
        elif (item["verdict"] == UNCHECKED) == bool(item.get("page") and item.get("claim")):
            wrong.append(f"{where}: every verdict but '{UNCHECKED}' names a page and a claim")
        elif (item["verdict"] == UNCHECKED) != bool(item.get("why")):
            wrong.append(f"{where}: '{UNCHECKED}', and no other verdict, says why")
        else:
            named = item.get("claim", [])
            texts = tuple([named] if isinstance(named, str) else named)
            told = [item[name] for name in FIELDS]
            entries.append(Entry(*told, item.get("page", ""), texts, item.get("why", "")))
    return entries, wrong


def unsupported(entry: Entry, records: Mapping[str, Sequence[Claim]]) -> list[str]:
    """Return why the verdict of an entry does not rest on what its page recorded."""
    if entry.verdict == UNCHECKED:
        return []
    where = f"{PAPERS[entry.paper]}, {entry.place}: {entry.verdict}"
    if entry.page not in records:
        return [f"{where}: the page '{entry.page}' recorded nothing"]
    kinds, wrong = set(), []
    for text in entry.claims:
        found = [r for r in records[entry.page] if r.text == text]
        kinds |= {r.kind for r in found}
        if not found:
            wrong.append(f"{where}: the page '{entry.page}' recorded no claim '{text}'")
        elif not all(r.ok for r in found):
            wrong.append(f"{where}: '{text}' on the page '{entry.page}' failed")
    if not wrong and entry.verdict != "not reproduced" and "claim" not in kinds:
        wrong.append(f"{where}: rests on refutations only")
    return wrong


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, the noun in the plural but for one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
