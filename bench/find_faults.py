"""Look for a fault in an earlier cell for every section whose claims no fault makes fail yet.

    python bench/find_faults.py mixing

A page is executed once. Before a cell on which claims of such a section depend, a fork goes on with
the cell changed in one sign, factor or exponent, up to that section. The first change that makes a
claim of a later cell fail, or else one of its own, is written to ``bench/page_faults.yml``; what is
found no fault for is printed, and wants one in the package, by hand.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from typing import Any

import yaml
from forks import Page
from pages import CALLS, ROOT, claiming, claims

FAULTS = ROOT / "bench/page_faults.yml"
SECONDS = 15
"""So long a fork may take."""
NEAREST, TRIES = 4, 8
"""Cells before a claim, and changes of one of them, that are tried."""
SHOWN = {"glue", "print", "display", "DataFrame", "Axes", "subplots", "legend", "set"}


def main() -> int:
    """Look on the pages asked for."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("pages", nargs="+", help="names of pages")
    for page in words.parse_args().pages:
        known = yaml.safe_load(FAULTS.read_text("utf-8")) if FAULTS.exists() else {}
        known.setdefault(page, [])
        text = (ROOT / f"book/{page}.md").read_text("utf-8")
        left = [s for s in claiming(text) if s not in {f["section"] for f in known[page]}]
        for fault in found(text, left):
            known[page].append(fault)
            told = yaml.safe_dump(dict(sorted(known.items())), allow_unicode=True, sort_keys=False)
            FAULTS.write_text(told, "utf-8")
            print(f"{page}: {fault['section']}", flush=True)
        for section in left:
            print(f"{page}: nothing found for {section}", flush=True)
    return 0


def found(text: str, left: list[str]) -> Iterator[dict[str, Any]]:
    """Yield faults of the page for the sections left, and take these off the list."""
    page = Page(text)
    names = [_names(cell.source) for _, cell in page.cells]
    for k, (_, cell) in enumerate(page.cells):
        for aim in list(left):
            needs, used = _slice(page, names, k, aim)
            for old, new, source in _changes(cell.source, text, needs) if needs else ():
                sections = page.forked(k, source, aim, SECONDS, used).sections
                if aim in sections:
                    yield {"section": aim, "old": old, "new": new}
                    left.remove(aim)
                    break
        section = page.cells[k][0]
        if section in left and k == max(_claiming(page, section)):
            # last resort: what the sides of its own claims are made of
            for old, new, source in _changes(cell.source, text, names[k][0]):
                if page.forked(k, source, section, SECONDS, set()).here:
                    yield {"section": section, "own": True, "old": old, "new": new}
                    left.remove(section)
                    break
        if not left:
            return
        page.run(k)


def _claiming(page: Page, name: str) -> list[int]:
    every = enumerate(page.cells)
    return [k for k, (section, cell) in every if section == name and claims(cell.source)]


Names = list[tuple[set[str], set[str]]]


def _slice(page: Page, names: Names, k: int, aim: str) -> tuple[set[str], set[int]]:
    """Return what claims of a section need of cell k, and which later cells they need for it.

    Nothing where more than a few cells that they need are nearer.
    """
    used = {j for j in _claiming(page, aim) if j > k}
    needs, nearer = set().union(*(names[j][1] for j in used)), 0
    for j in range(max(used, default=k) - 1, k, -1):
        if names[j][0] & needs and j not in used:
            used.add(j)
            needs |= names[j][1]
            nearer += 1
    return (needs & names[k][0] if nearer < NEAREST else set()), used


def _names(source: str) -> tuple[set[str], set[str]]:
    """Return what a cell makes and what it uses; what it also changes in place counts as made."""
    if source.startswith("%%"):
        return set(), set()
    tree = ast.parse(source)
    stored, loaded = set[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (stored if isinstance(node.ctx, ast.Store) else loaded).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            stored.add(node.name)
        elif isinstance(node, ast.alias):
            stored.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Attribute) and node.attr in {"append", "update", "extend"}:
            stored |= {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
    return stored, loaded


def _changes(source: str, text: str, needs: set[str]) -> Iterator[tuple[str, str, str]]:
    """Yield lines of a cell, what replaces them, and the cell so changed; ``old`` is once there."""
    if source.startswith("%%"):
        return
    lines, tried = source.split("\n"), 0
    for row, start, stop, new in _edits(source, needs):
        line = lines[row].encode()
        changed = (line[:start] + new.encode() + line[stop:]).decode()
        above = row
        while text.count("\n".join(lines[above : row + 1])) != 1 and above > 0:
            above -= 1
        old = "\n".join(lines[above : row + 1])
        if text.count(old) != 1 or changed == lines[row]:
            continue
        other = "\n".join([*lines[above:row], changed])
        yield old.strip(), other.strip(), "\n".join([*lines[:above], other, *lines[row + 1 :]])
        tried += 1
        if tried == TRIES:
            return


def _edits(source: str, needs: set[str]) -> Iterator[tuple[int, int, int, str]]:
    """Yield row, start and stop in bytes, and what goes there."""
    lines = source.split("\n")
    tree = ast.parse(source)
    tree.body = [part for part in tree.body if _names(ast.unparse(part))[0] & needs]
    for node in _outside(tree):
        if isinstance(node, ast.BinOp) and node.left.end_lineno == node.right.lineno:
            row, start, stop = node.left.end_lineno - 1, node.left.end_col_offset, 0
            stop = node.right.col_offset
            between = lines[row].encode()[start:stop].decode()
            for sign, other in (("**", "*"), ("+", "-"), ("-", "+"), ("*", "/"), ("/", "*")):
                if sign in between:
                    yield row, start, stop, between.replace(sign, other)
                    break
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            row, start = node.lineno - 1, node.col_offset
            yield row, start, start + 1, "+"
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            row, start, stop = node.lineno - 1, node.col_offset, node.end_col_offset
            value = node.value + 1 if isinstance(node.value, int) else 1.5 * node.value
            yield row, start, stop, repr(value)
        elif isinstance(node, ast.Attribute) and node.attr in {"T", "I", "mT"}:
            row, stop = node.end_lineno - 1, node.end_col_offset
            yield row, stop - len(node.attr) - 1, stop, ""


def _outside(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a cell but for what claims, shows or imports something."""
    for child in ast.iter_child_nodes(node):
        name = ""
        if isinstance(child, ast.Call):
            called = child.func
            name = getattr(called, "id", None) or getattr(called, "attr", "")
        if name in CALLS or name in SHOWN or isinstance(child, ast.Import | ast.ImportFrom):
            continue
        yield child
        yield from _outside(child)


if __name__ == "__main__":
    sys.exit(main())
