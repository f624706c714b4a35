"""Evaluate every claim of every page again with its right side made wrong, and count what holds.

    nox -s vacuous                all pages, some minutes
    nox -s vacuous -- mixing      those pages; the others keep what is stored

The counts go to ``book/records/perturbed.json``, which the page of the status shows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pages import ROOT, claiming, copied, executed
from tqdm import tqdm

STORED = ROOT / "book/records/perturbed.json"


def main() -> int:
    """Execute the pages asked for and store the counts; 1 if a page has an error."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("only", nargs="*", help="names of pages")
    only = words.parse_args().only
    pages = [path.stem for path in sorted((ROOT / "book").glob("*.md")) if _claims(path)]
    known = json.loads(STORED.read_text("utf-8"))["pages"] if STORED.exists() else {}
    wrong, now = 0, commit()
    with tempfile.TemporaryDirectory() as folder:
        copied(Path(folder))
        for page in tqdm([p for p in pages if not only or p in only], unit="page"):
            told = executed(Path(folder), page, perturb=True)
            for error in [*told.errors, *told.failed]:
                tqdm.write(f"{page}: {error}", file=sys.stderr)
                wrong += 1
            if not told.errors and not told.failed:
                known[page] = _counted(told.perturbed)
                surviving = known[page]["surviving"]
                for text, ways in surviving.items():
                    tqdm.write(f"{page}: {text}: {', '.join(ways)}")
                stored = {"commit": now, "pages": {p: known[p] for p in pages if p in known}}
                write(STORED, stored)
    return 1 if wrong else 0


def commit() -> str:
    """Return the name of the last commit, marked if files other than records differ from it."""
    name = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    same = subprocess.run(
        ["git", "diff", "--quiet", "HEAD", "--", ".", ":(exclude)book/records"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if name.returncode:
        return "unknown"
    return name.stdout.strip() + ("-dirty" if same.returncode else "")


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Replace a file by this JSON at once."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")
    new.replace(path)


def _claims(path: Path) -> bool:
    return bool(claiming(path.read_text("utf-8")))


def _counted(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    records = list(records)
    numbers = [told["perturbed"] for told in records if "truth" not in told["perturbed"]]
    found = Counter(outcome for told in numbers for outcome in told.values())
    surviving = dict[str, list[str]]()
    for told in records:
        ways = [way for way, outcome in told["perturbed"].items() if outcome == "survives"]
        if ways:
            surviving[told["text"]] = ways
    counts = {name: found[name] for name in ("caught", "unchanged", "survives", "undecided")}
    truths = len(records) - len(numbers)  # the negation of a truth value is always caught
    return {"claims": len(records), "truths": truths, **counts, "surviving": surviving}


if __name__ == "__main__":
    sys.exit(main())
