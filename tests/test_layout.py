"""The package keeps its layers, its docstrings and its chapters."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/dsbo"
BOOK = ROOT / "book"

# Lowest first; a module imports from its own layer and those before it.
LAYERS = (
    {"allocator", "graphs", "keys", "layout", "schedules", "symbolic"},
    {"claims", "levels", "mixing"},
    {"data", "hypergrad", "network"},
    {"algorithms", "problems", "world"},
    {"checkpoint", "conformance", "metrics", "provenance", "run", "trace"},
    {"experiments"},
    {"__main__", "plots"},
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
CLOSED_TO_ALGORITHMS = {
    "checkpoint",
    "data",
    "experiments",
    "metrics",
    "network",
    "plots",
    "problems",
    "run",
    "trace",
}

MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")
ALGORITHMS = sorted(
    p for p in (PACKAGE / "algorithms").glob("*.py") if p.stem not in {"__init__", "base"}
)


def unit(path: Path) -> str:
    """The first name below ``dsbo``: a module or a subpackage."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(path: Path) -> set[str]:
    """Every module that a file imports, absolute, with the names taken from ``dsbo`` itself."""
    package = ["dsbo", *path.relative_to(PACKAGE).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def units_imported(path: Path) -> set[str]:
    return {m.split(".")[1] for m in imports(path) if m.startswith("dsbo.")} - {unit(path)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_its_layer_and_those_below(path: Path) -> None:
    own = RANK.get(unit(path))
    assert own is not None, f"{name_of(path)} has no layer: add it to LAYERS"
    too_high = {u for u in units_imported(path) if RANK.get(u, len(LAYERS)) > own}
    assert not too_high, f"{name_of(path)} imports {sorted(too_high)} from a higher layer"


@pytest.mark.parametrize("path", ALGORITHMS, ids=name_of)
def test_an_algorithm_knows_no_network_no_data_and_no_problem(path: Path) -> None:
    assert not units_imported(path) & CLOSED_TO_ALGORITHMS
    assert not {m for m in imports(path) if m.startswith("torch.distributed")}


@pytest.mark.parametrize("path", ALGORITHMS, ids=name_of)
def test_an_algorithm_names_its_chapter_and_has_a_naive_loop(path: Path) -> None:
    chapters = set(re.findall(r"book/([\w-]+)\.md", path.read_text("utf-8")))
    assert chapters, f"{path.name}: end the docstring with 'Derived in book/<chapter>.md.'"
    toc = (BOOK / "_toc.yml").read_text("utf-8")
    for chapter in chapters:
        assert (BOOK / f"{chapter}.md").is_file()
        assert f"file: {chapter}\n" in toc
    assert (ROOT / "tests/reference" / path.name).is_file(), f"no naive loop for {path.stem}"


def test_no_line_of_a_code_cell_scrolls() -> None:
    long = []
    for page in BOOK.glob("*.md"):
        fence = None
        for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
            if fence is None and (opened := re.match(r"(`{3,})\{code-cell\}", line)):
                fence = opened[1]
            elif fence is not None and line.startswith(fence):
                fence = None
            elif fence is not None and len(line) > 75:
                long.append(f"{page.name}:{number}")
    assert not long


def test_actions_are_pinned_to_a_commit() -> None:
    for workflow in (ROOT / ".github/workflows").glob("*.yml"):
        for job in yaml.safe_load(workflow.read_text())["jobs"].values():
            for step in job["steps"]:
                assert re.search(r"@[0-9a-f]{40}$", step.get("uses", f"@{'0' * 40}"))


def test_no_test_is_named_after_bytes_which_may_differ_from_run_to_run(request) -> None:
    assert not [item.nodeid for item in request.session.items if "\\x" in item.nodeid]


def test_no_committed_file_names_a_place_on_somebodys_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    # Put together here, so that this file does not hold what it looks for.
    places = ["/" + "/".join(p) for p in (("work", ""), ("tmp", "venv"), ("opt", ""), ("root", ""))]
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            content = path.read_bytes()
            found += [f"{name}: {place}" for place in places if place.encode() in content]
    assert not found
