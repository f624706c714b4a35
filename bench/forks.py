"""Execute a page once, and a fork of it for every fault in one of its cells.

Before the cell that a fault changes, a fork goes on with the changed cell, past claims that fail
and cells that raise, to the end of the section that the fault is for, or to the first claim that
fails. So what comes before is executed once for all faults.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from nbformat import NotebookNode
from pages import ROOT, cells

SECONDS = 120
"""So long a fork may take."""


class Seen(NamedTuple):
    """What a fork saw.

    Parameters
    ----------
    sections : list of str
        Those in which a claim of a later cell failed.
    here : list of str
        That of the changed cell, if one of its own claims failed.
    claims : list of str
        All claims that failed, those of the changed cell too.
    errors : list of str
        What cells raised.
    seconds : float
    """

    sections: list[str]
    here: list[str]
    claims: list[str]
    errors: list[str]
    seconds: float


class Page:
    """A page that is executed cell by cell in this process, in an empty folder."""

    def __init__(self, text: str) -> None:
        self.cells: list[tuple[str, NotebookNode]] = list(cells(text))
        self.kept = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.folder = Path(self.kept.name)
        os.chdir(self.folder)
        os.environ |= {"DSBO_CLAIMS_GO_ON": "1", "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
        os.environ["DSBO_CLAIMS"] = str(self.folder / "claims.jsonl")
        from IPython.core.interactiveshell import InteractiveShell

        self.shell: Any = InteractiveShell.instance()
        atexit.register(os.chdir, ROOT)  # before IPython and the folder go

    def run(self, k: int, source: str | None = None) -> str:
        """Execute cell k, or this source in its place, and return what it raised."""
        section, cell = self.cells[k]
        os.environ |= {"DSBO_PAGE": str(k), "DSBO_SECTION": section}
        with _silence():
            done = self.shell.run_cell(source or cell.source, store_history=False)
        error = done.error_before_exec or done.error_in_exec
        return f"{section}: {type(error).__name__}: {str(error)[:200]}" if error else ""

    def forked(
        self,
        k: int,
        source: str,
        section: str = "",
        seconds: float = SECONDS,
        only: Container[int] | None = None,
    ) -> Seen:
        """Go on in a fork with this source of cell k, if so told with these cells only."""
        there = [i for i, (name, _) in enumerate(self.cells) if section and name == section]
        last = max(there, default=-1)
        told, errors = self.folder / "forked.jsonl", self.folder / "errors.jsonl"
        for path in (told, errors):
            path.write_text("")
        started = time.perf_counter()
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.setsid()
            os.environ["DSBO_CLAIMS"] = str(told)
            try:
                for j in range(k, len(self.cells) if last < 0 else last + 1):
                    if only is not None and j not in only and j != k:
                        continue
                    if error := self.run(j, source if j == k else None):
                        with errors.open("a") as file:
                            file.write(json.dumps(error) + "\n")
                    if last < 0 and any(not line["ok"] for line in _lines(told)):
                        break
            finally:
                os.write(write, b"x")
                os._exit(0)
        os.close(write)
        if not select.select([read], [], [], seconds)[0]:
            errors.write_text(json.dumps(f"no answer in {seconds} s") + "\n")
        os.close(read)
        for kill in (os.killpg, os.kill):
            try:
                kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        os.waitpid(child, 0)
        failed = [line for line in _lines(told) if not line["ok"]]
        later = {line["section"]: 0 for line in failed if int(line["page"]) > k}
        here = {line["section"]: 0 for line in failed if int(line["page"]) == k}
        took = round(time.perf_counter() - started, 1)
        texts = [line["text"] for line in failed]
        return Seen(list(later), list(here), texts, _lines(errors), took)


def changed(cells: Iterable[tuple[str, NotebookNode]], old: str, new: str) -> tuple[int, str]:
    """Return the number of the cell that a fault of a page changes, and its source then."""
    for k, (_, cell) in enumerate(cells):
        if old in cell.source:
            return k, cell.source.replace(old, new)
    raise ValueError(f"{old!r} is in no cell")


def main() -> None:
    """Read a page and its faults as JSON, and print a line of JSON for each."""
    path, faults = Path(sys.argv[1]), json.loads(sys.stdin.read())
    text = path.read_text("utf-8")
    for told in seen(text, faults):
        print(json.dumps(told), flush=True)


def seen(text: str, faults: Sequence[tuple[str, str, str]]) -> Iterator[tuple[int, Seen]]:
    """Yield the number of each fault (old, new, section) and what was seen of it.

    The number is -1 for the page as it is.
    """
    page = Page(text)
    places = [(*changed(page.cells, old, new), section) for old, new, section in faults]
    for k in range(len(page.cells)):
        for number, (place, source, section) in enumerate(places):
            if place == k:
                yield number, page.forked(k, source, section)
        page.run(k)
    told = _lines(page.folder / "claims.jsonl")
    yield -1, Seen([], [], [line["text"] for line in told if not line["ok"]], [], 0.0)


@contextmanager
def _silence() -> Iterator[None]:
    """Send what cells write, also by other means than Python's, nowhere."""
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stdout.flush()
        for number, copy in enumerate(kept, start=1):
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


def _lines(path: Path) -> list[Any]:
    told = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in told]


if __name__ == "__main__":
    main()
