"""Execute every chapter in ``book/_toc.yml`` in a fresh kernel."""

from __future__ import annotations

import ast
import os
import re
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import jupytext
import pytest
from contents import BOOK, sources
from filelock import FileLock
from kernels import execute
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from nbformat import NotebookNode

BUILD = BOOK / "_build"
CLAIMS = BUILD / "claims"
PROJECT = tomllib.loads((BOOK.parent / "pyproject.toml").read_text("utf-8"))["project"]
CELL_TIMEOUT = int(os.environ.get("DSBO_CELL_TIMEOUT", "300"))


def read(path: Path) -> NotebookNode:
    """Read a page; left to guess, jupytext takes ``:::`` fences for pandoc's Markdown."""
    return jupytext.read(path, fmt="md:myst")


NOTEBOOKS = [p for p in sources() if p.is_file() and "kernelspec" in read(p).metadata]


def test_the_table_of_contents_and_the_folder_name_the_same_pages() -> None:
    assert sorted(sources()) == sorted(BOOK.glob("*.md"))


@pytest.mark.parametrize("path", sources(), ids=lambda p: p.stem)
def test_a_page_with_code_says_that_it_is_a_notebook(path: Path) -> None:
    assert ("{code-cell}" in path.read_text("utf-8")) == (path in NOTEBOOKS)


NEEDS = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["book"]]
ON_PYPI = {"sklearn": "scikit-learn"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_page_imports_what_comes_with_the_package_alone(path: Path) -> None:
    needs = {Requirement(line).name for line in NEEDS}
    cells = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    nodes = [n for c in cells if "%%" not in c for n in ast.walk(ast.parse(c))]
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)}
    tops = {name.partition(".")[0] for name in names}
    made_here = {word for c in cells for word in re.findall(r"(\w+)\.py", c)}
    known = sys.stdlib_module_names | needs | made_here | {"dsbo", "dsbo_book", "IPython"}
    assert not {top for top in tops if ON_PYPI.get(top, top) not in known}


def test_every_claim_is_a_whole_sentence() -> None:
    cells = [cell.source for path in NOTEBOOKS for cell in read(path).cells]
    trees = [ast.parse(c) for c in cells if re.search(r"^ *(claim|refuted)\(", c, re.MULTILINE)]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    texts = [
        ast.unparse(call.args[0]).removeprefix("f").strip("'\"")
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in {"claim", "refuted"}
    ]
    assert len(texts) > 800
    assert [text for text in texts if text.startswith("…")] == []


def test_no_cell_with_a_figure_claims_something() -> None:
    # A claim shows itself, and every output of the cell would get the name of the figure.
    cells = [cell for path in NOTEBOOKS for cell in read(path).cells]
    figures = [c.source for c in cells if "figure" in c.metadata.get("mystnb", {})]
    assert len(figures) > 50
    assert [c for c in figures if re.search(r"^ *(claim|refuted)\(", c, re.MULTILINE)] == []


@pytest.mark.notebook
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_chapter_runs_without_an_error_or_a_warning(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = CLAIMS / f"{path.stem}.jsonl"
    claims.parent.mkdir(parents=True, exist_ok=True)
    claims.write_text("")
    monkeypatch.setenv("DSBO_CLAIMS", str(claims))

    notebook = read(path)
    started = time.perf_counter()
    # Timing in a cell's metadata would change the cache's key.
    notebook = execute(notebook, tmp_path, timeout=CELL_TIMEOUT, record_timing=False)
    seconds = time.perf_counter() - started

    said = [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stderr"
    ]
    assert not said, f"{path.name} wrote to stderr: {said}"
    keep(path, notebook, seconds)


def keep(path: Path, notebook: NotebookNode, seconds: float) -> None:
    """Leave the outputs where the book's build looks, so that it runs nothing twice."""
    import dsbo_pages
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn
    from myst_nb.core.read import myst_nb_reader_plugin

    # Two at once can meet a database without tables, or drop each other's page as too old.
    with FileLock(BUILD / ".jupyter_cache.lock"):
        cache = get_cache(BUILD / ".jupyter_cache" / dsbo_pages.code_key())
        kept = cache.cache_notebook_bundle(
            CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds}),
            check_validity=False,
            overwrite=True,
        )
        sought = cache.match_cache_notebook(myst_nb_reader_plugin(str(path)))
    assert sought.hashkey == kept.hashkey


@pytest.mark.notebook
def test_pages_that_end_at_the_same_time_are_all_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("test_notebooks.BUILD", tmp_path)
    paths = NOTEBOOKS[:8]
    with ThreadPoolExecutor(len(paths)) as pool:
        list(pool.map(keep, paths, map(read, paths), repeat(0.0)))
    assert len(list(tmp_path.glob(".jupyter_cache/*/executed/*"))) == len(paths)


def test_a_kernel_that_never_answers_is_started_once_more(monkeypatch, tmp_path):
    answers = iter([RuntimeError("Kernel didn't respond in 60 seconds"), None])

    class Client:
        def __init__(self, notebook, **_):
            self.notebook = notebook

        def execute(self):
            if error := next(answers):
                raise error
            return self.notebook

    monkeypatch.setattr("kernels.NotebookClient", Client)
    assert execute("a notebook", tmp_path) == "a notebook"
    assert not list(answers)
