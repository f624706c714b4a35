"""Execute a page in a copy of the project, and say in which sections claims failed.

A section is a heading with the part it belongs to, such as ``Check: Points of rest``.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("book", "src", "tests", "pyproject.toml", "CITATION.cff", "README.md")
CELL_SECONDS = 120
CALLS = {"claim", "refuted"}


@dataclass(frozen=True)
class Executed:
    """What a page recorded.

    Attributes
    ----------
    claims : list of dict
        The lines of `dsbo_book.claims`, each with its section.
    perturbed : list of dict
        Those of `dsbo_book.perturbed`.
    errors : list of str
        What cells raised, other than that a claim does not hold.
    seconds : float
    """

    claims: list[dict[str, Any]]
    perturbed: list[dict[str, Any]]
    errors: list[str]
    seconds: float

    @property
    def failed(self) -> list[str]:
        """The sections with a claim that failed, each once."""
        return list(dict.fromkeys(told["section"] for told in self.claims if not told["ok"]))


def cells(text: str) -> Iterator[tuple[str, NotebookNode]]:
    """Yield every cell of code with the section in which it stands."""
    part = section = ""
    for cell in jupytext.reads(text, fmt="md:myst").cells:
        if cell.cell_type == "code":
            yield section, cell
            continue
        for level, title in re.findall(r"^(##+) +(.+?) *$", cell.source, re.MULTILINE):
            part = title if level == "##" else part
            section = title if level == "##" else f"{part}: {title}"


def claiming(text: str) -> list[str]:
    """Return the sections in which a cell claims or refutes something, in their order."""
    return list(dict.fromkeys(section for section, cell in cells(text) if claims(cell.source)))


def claims(source: str) -> bool:
    """Say whether a cell claims or refutes something."""
    if source.startswith("%%"):
        return False
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return any(isinstance(function, ast.Name) and function.id in CALLS for function in calls)


def copied(folder: Path) -> None:
    """Copy what pages and tests need into a folder."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("_build", "__pycache__")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)


def executed(copy: Path, page: str, whole: bool = True, perturb: bool = False) -> Executed:
    """Execute a page of a copy, past claims that fail and cells that raise.

    With ``whole=False`` only to the end of the first section with a claim that fails; with
    ``perturb`` every claim is also tried with its right side made wrong.
    """
    text = (copy / f"book/{page}.md").read_text("utf-8")
    with tempfile.TemporaryDirectory() as place:
        files = {name: Path(place) / f"{name}.jsonl" for name in ("claims", "perturbed")}
        env = {
            **os.environ,
            "PYTHONPATH": str(copy / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
            "DSBO_CLAIMS": str(files["claims"]),
            "DSBO_PERTURBED": str(files["perturbed"]) if perturb else "",
            "DSBO_CLAIMS_GO_ON": "1",
            "DSBO_PAGE": page,
        }
        started, errors = time.perf_counter(), list[str]()
        work = Path(place) / "work"
        work.mkdir()
        notebook = jupytext.reads(text, fmt="md:myst")
        notebook.cells, last = [], None
        client = NotebookClient(
            notebook, timeout=CELL_SECONDS, kernel_name="python3",
            resources={"metadata": {"path": str(work)}},
        )  # fmt: skip
        with client.setup_kernel(env=env):
            for section, cell in cells(text):
                if section != last:
                    if not whole and any(not told["ok"] for told in _lines(files["claims"])):
                        break
                    said = f"import os; os.environ['DSBO_SECTION'] = {section!r}"
                    _execute(client, new_code_cell(said))
                    last = section
                if error := _execute(client, cell):
                    errors.append(f"{section}: {error}")
                if error.startswith("no answer"):
                    break
        return Executed(
            _lines(files["claims"]), _lines(files["perturbed"]), errors,
            round(time.perf_counter() - started, 1),
        )  # fmt: skip


def _execute(client: NotebookClient, cell: NotebookNode) -> str:
    """Execute one cell and return what it raised, if anything."""
    client.nb.cells.append(cell)
    try:
        client.execute_cell(cell, len(client.nb.cells) - 1, store_history=False)
    except CellExecutionError as error:
        return f"{error.ename}: {' '.join(error.evalue.split())[:200]}"
    except (DeadKernelError, TimeoutError) as error:
        return f"no answer: {type(error).__name__}"
    return ""


def _lines(path: Path) -> list[dict[str, Any]]:
    told = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in told]
