"""The package keeps its chapters; `lint-imports` keeps its layers."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from contents import sources

import dsbo

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/dsbo"
BOOK = ROOT / "book"

ALGORITHMS = sorted(
    p for p in (PACKAGE / "algorithms").rglob("*.py") if p.stem not in {"__init__", "base"}
)


@pytest.mark.parametrize("path", ALGORITHMS, ids=lambda path: path.stem)
def test_an_algorithm_names_its_chapter_and_has_a_naive_loop(path: Path) -> None:
    chapters = set(re.findall(r"book/([\w-]+)\.md", path.read_text("utf-8")))
    assert chapters, f"{path.name}: end the docstring with 'Derived in book/<chapter>.md.'"
    toc = (BOOK / "_toc.yml").read_text("utf-8")
    for chapter in chapters:
        assert (BOOK / f"{chapter}.md").is_file()
        assert f"file: {chapter}\n" in toc
    assert (ROOT / "tests/reference" / path.name).is_file(), f"no naive loop for {path.stem}"


def test_the_map_of_the_book_leads_to_every_page_in_order() -> None:
    shown = re.findall(
        r"^\| \{doc\}`([\w-]+)`", (BOOK / "intro.md").read_text("utf-8"), re.MULTILINE
    )
    assert shown == [path.stem for path in sources()[1:]]


def test_the_reference_documents_every_public_name() -> None:
    pages = [path.read_text("utf-8") for path in BOOK.glob("api-*.md")]
    blocks = re.findall(r"```{modules}\n(.*?)```", "".join(pages), re.DOTALL)
    shown = " ".join(blocks).split()
    assert len(shown) == len(set(shown))
    assert "" in blocks, "an empty list stands for the modules of all algorithms"
    for name, value in vars(dsbo).items():
        home = getattr(value, "__module__", None) or ""
        if not name.startswith("_") and home.startswith("dsbo.") and "algorithms" not in home:
            assert home in shown or home.rpartition(".")[0] in shown, name


def test_every_algorithm_is_exported() -> None:
    for path in ALGORITHMS:
        name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        module = importlib.import_module(name)
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, dsbo.Algorithm):
                public = found.__module__ == name and "cost" in vars(found)
                assert not public or getattr(dsbo, found.__name__, None) is found


def test_no_module_is_longer_than_three_hundred_lines() -> None:
    modules = (ROOT / "src").rglob("*.py")
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in modules}
    assert {name: n for name, n in lengths.items() if n > 300} == {}


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
