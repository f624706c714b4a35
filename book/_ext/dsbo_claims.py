"""Directives for the pages of claims, which are made of what the executed pages recorded.

``{ledger}`` sets each statement of the papers beside the recorded claim that ``book/ledger.yml``
names for it; ``{recorded-claims}`` lists the claims of every page.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from claims_ledger import (
    PAPERS,
    UNCHECKED,
    VERDICTS,
    Entry,
    Records,
    counted,
    executed_pages,
    load_ledger,
    load_records,
    unsupported,
)
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sphinx.application import Sphinx

    from dsbo_book.stated import Claim

LOG = logging.getLogger(__name__)
COMMAND = "nox -s book"


class FromRecords(SphinxDirective):
    """What both directives need: the records, complaints and tables."""

    @property
    def book(self) -> Path:
        """The folder of the book."""
        return Path(self.env.srcdir)

    def records(self) -> Records:
        """Return the records; the page is read again in each build, they are no source of it."""
        self.env.note_reread()
        return load_records(self.book / "_build/claims", executed_pages(self.book))

    def complain(self, message: str) -> None:
        """Log a warning at this place; ``-W`` makes it an error."""
        LOG.warning(message, location=self.get_location(), type="dsbo", subtype="claims")

    def link(self, page: str) -> nodes.Node:
        """Return a link to a page, with its title."""
        return addnodes.pending_xref(
            "", nodes.inline(), reftype="doc", refdomain="std", reftarget=f"/{page}",
            refexplicit=False, refwarn=True, refdoc=self.env.docname,
        )  # fmt: skip

    def link_to_box(self, page: str, claim: Claim, text: str) -> nodes.Node:
        """Return a link to the box of a claim on its page."""
        place = self.env.app.builder.get_relative_uri(self.env.docname, page)
        return nodes.reference("", text, refuri=f"{place}#claim-{claim.number}")

    def parsed(self, markdown: str) -> list[nodes.Node]:
        """Return the nodes of a text of the page's own markup."""
        holder = nodes.Element()
        self.state.nested_parse(StringList([markdown], "ledger.yml"), 0, holder)
        return holder.children


def plain(text: str) -> list[nodes.Node]:
    """Return a paragraph of text as it stands."""
    return [nodes.paragraph("", "", nodes.Text(text))]


def table(
    widths: Sequence[int],
    heads: Sequence[str],
    rows: Iterable[Sequence[Sequence[nodes.Node]]],
) -> nodes.table:
    """Return a table from the nodes of its cells, row by row."""

    def row(cells: Iterable[Sequence[nodes.Node]]) -> nodes.row:
        return nodes.row("", *(nodes.entry("", *cell) for cell in cells))

    columns = [nodes.colspec(colwidth=width) for width in widths]
    head = nodes.thead("", row(map(plain, heads)))
    body = nodes.tbody("", *map(row, rows))
    group = nodes.tgroup("", *columns, head, body, cols=len(widths))
    return nodes.table("", group, classes=["claims"])


class RecordedClaims(FromRecords):
    """``{recorded-claims}``: a section with a table for every page that was executed."""

    def run(self) -> list[nodes.Node]:
        """Return the sections, after a note about pages that recorded nothing."""
        pages, records = executed_pages(self.book), self.records()
        missing = [page for page in pages if page not in records]
        told: list[nodes.Node] = []
        if missing:
            message = f"no claims were recorded for {', '.join(missing)}; run {COMMAND}"
            self.complain(message)
            told.append(nodes.warning("", *plain(message[0].upper() + message[1:] + ".")))
        for page, found in records.items():
            for record in found:
                if not record.ok:
                    self.complain(f"a claim of the page '{page}' failed: {record.text}")
        silent = [title for page, title in pages.items() if records.get(page) == []]
        if silent:
            told += plain(f"Pages that ran and claim nothing: {', '.join(silent)}.")
        return told + [self.section(page, pages[page], r) for page, r in records.items() if r]

    def section(self, page: str, title: str, records: Sequence[Claim]) -> nodes.section:
        """Return the section of one page."""
        refuted = sum(r.kind == "refuted" for r in records)
        counts = counted(len(records) - refuted, "claim"), counted(refuted, "refutation")
        summary = nodes.paragraph("", "", self.link(page))
        summary += nodes.Text(f": {', '.join(counts)}.")
        rows = []
        for r in records:
            number = nodes.paragraph("", "", self.link_to_box(page, r, str(r.number)))
            rows.append([[number], self.stated(r), plain(r.badge)])
        # Folded: all together are longer than anybody reads.
        shown = [
            nodes.raw("", "<details><summary>Show them</summary>", format="html"),
            table((6, 66, 28), ("", "claim", "how it was checked"), rows),
            nodes.raw("", "</details>", format="html"),
        ]
        name = nodes.make_id(f"claims of {page}")
        return nodes.section("", nodes.title("", title), summary, *shown, ids=[name], names=[name])

    def stated(self, claim: Claim) -> list[nodes.Node]:
        """Return the statement, with its formula if it has one."""
        text, latex = plain(claim.text), claim.latex
        return [*text, nodes.math_block("", latex, nowrap=False, number=None)] if latex else text


class Ledger(FromRecords):
    """``{ledger}``: a section with a table for each paper, from ``ledger.yml``."""

    def run(self) -> list[nodes.Node]:
        """Return the sections; verdicts that no record supports are warned about."""
        path = self.book / "ledger.yml"
        self.env.note_dependency(str(path))
        records = self.records()
        entries, wrong = load_ledger(path)
        if records:  # else one warning, that of the other table, says it all
            wrong += [message for entry in entries for message in unsupported(entry, records)]
        for message in wrong:
            self.complain(message)
        return [self.section(paper, entries, records) for paper in PAPERS]

    def section(self, paper: str, entries: Sequence[Entry], records: Records) -> nodes.section:
        """Return the section of one paper."""
        own = [entry for entry in entries if entry.paper == paper]
        counts = Counter(entry.verdict for entry in own)
        told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
        heads = ("place", "statement", "verdict", "shown by, or why not")
        rows = [
            [plain(e.place), self.parsed(e.statement), plain(e.verdict), self.shown(e, records)]
            for e in own
        ]
        shown = table((16, 44, 12, 28), heads, rows)
        name = nodes.make_id(f"ledger {paper}")
        title = nodes.title("", PAPERS[paper])
        return nodes.section("", title, *plain(f"{told}."), shown, ids=[name], names=[name])

    def shown(self, entry: Entry, records: Records) -> list[nodes.Node]:
        """Return links to the page and to the boxes of its claims, or why there are none."""
        if entry.verdict == UNCHECKED:
            return self.parsed(entry.why)
        found = nodes.paragraph("", "", self.link(entry.page))
        for text in entry.claims:
            found += nodes.Text("; " if text != entry.claims[0] else ": ")
            named = [r for r in records.get(entry.page, []) if r.text == text]
            if named:
                found += self.link_to_box(entry.page, named[0], text)
            else:
                found += nodes.Text(f"{text} (not recorded)")
        return [found]


def setup(app: Sphinx) -> dict[str, object]:
    """Add the directives."""
    app.add_directive("ledger", Ledger)
    app.add_directive("recorded-claims", RecordedClaims)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
