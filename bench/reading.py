"""What a reader meets on each page: cells and lines of code that are seen, words, figures, minutes.

    nox -s reading

Code that is folded or removed is not counted, nor are formulas, tables, comments and commands that
are shown only. A page fails that has more than `CELLS`, or fewer words a line than `WORDS`; so does
the book if its median page has fewer than `MEDIAN`.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import jupytext

ROOT = Path(__file__).resolve().parents[1]
CELLS, WORDS, MEDIAN = 25, 4.5, 7.0
EXEMPT = {"errata"}
"""One item after another, each with its check."""
UNSEEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
FIGURE = re.compile(r"^ *[`:]{3,}\{figure\}", re.MULTILINE)
NO_PROSE = (
    re.compile(r"^(`{3,}|:{3,})\{(?!admonition|note|prf|tip).*?^\1 *$", re.MULTILINE | re.DOTALL),
    re.compile(r"^(`{3,}|~{3,})[a-z]+ *$.*?^\1 *$|<!--.*?-->", re.MULTILINE | re.DOTALL),
    re.compile(r"^\$\$.*?^\$\$.*?$", re.MULTILINE | re.DOTALL),
    re.compile(
        r"\$[^$]+\$|`[^`]+`|\{[a-z:]+\}|^\|.*$|^[:`%(].*$|<[^>]+>|\]\([^)]*\)", re.MULTILINE
    ),
)
WORD = re.compile(r"[A-Za-zÀ-ž][A-Za-zÀ-ž'’-]*")
A_MINUTE, A_LINE = 220, 12
"""Words that are read in a minute, and lines of code."""


@dataclass(frozen=True)
class Page:
    """What a reader meets.

    Attributes
    ----------
    cells, lines : int
        Of code that is seen.
    words, figures : int
    """

    cells: int
    lines: int
    words: int
    figures: int

    @property
    def a_line(self) -> float:
        """Words for a line of code."""
        return self.words / max(1, self.lines)

    @property
    def minutes(self) -> int:
        """Minutes to read it."""
        return round(self.words / A_MINUTE + self.lines / A_LINE)


def read(text: str) -> Page:
    """Count a page."""
    cells = jupytext.reads(text, fmt="md:myst").cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    seen = [cell for cell in code if not UNSEEN & {*cell.metadata.get("tags", [])}]
    lines = sum(bool(line.strip()) for cell in seen for line in cell.source.splitlines())
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    plots = sum("figure" in cell.metadata.get("mystnb", {}) for cell in code)
    figures = plots + len(FIGURE.findall(prose))
    for pattern in NO_PROSE:
        prose = pattern.sub(" ", prose)
    return Page(len(seen), lines, len(WORD.findall(prose)), figures)


def pages() -> dict[str, Page]:
    """Return every page with code, by its name."""
    texts = {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "book").glob("*.md"))}
    return {name: read(text) for name, text in texts.items() if "{code-cell}" in text}


def beyond(found: dict[str, Page]) -> list[str]:
    """Say which pages are beyond their limits."""
    told = []
    for name, page in found.items():
        ratio = round(page.a_line, 1)
        if page.cells > CELLS and name not in EXEMPT:
            told.append(f"{name}: {page.cells} cells of code are seen, {CELLS} may be; fold some")
        if ratio < WORDS and name not in EXEMPT:
            told.append(f"{name}: {ratio} words for a line of code, at least {WORDS}; fold some")
    if (ratio := round(median(page.a_line for page in found.values()), 1)) < MEDIAN:
        told.append(f"the book: {ratio} words for a line in the median, at least {MEDIAN}")
    return told


def main() -> int:
    """Print the table and what is beyond its limits."""
    found = pages()
    heads = ("page", "cells", "lines", "words", "a line", "figures", "minutes")
    print("{:<20}{:>8}{:>8}{:>8}{:>8}{:>9}{:>9}".format(*heads))
    for name, p in found.items():
        print(
            f"{name:<20}{p.cells:>8}{p.lines:>8}{p.words:>8}{p.a_line:>8.1f}{p.figures:>9}"
            f"{p.minutes:>9}"
        )
    print(f"median: {median(page.a_line for page in found.values()):.1f} words a line of code")
    print(*(told := beyond(found)), sep="\n")
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main())
