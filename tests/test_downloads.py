"""Every notebook of the built book starts in an empty folder, where its first cell installs all."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import nbformat
import pytest
from kernels import execute

pytestmark = [pytest.mark.download, pytest.mark.timeout(3600)]

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "book/_build/html/_sources"
NOTEBOOKS = sorted(SOURCES.glob("*.ipynb"))
OUTSIDE = re.compile(
    r"\b(RECORDS|Path|checkpoint|compile|conformance|corpora|data|load_\w+|memory|open|run_study|spawn"
    r"|subprocess|tasks|tempfile)\b|\.(load|save)\(|^[%!]",
    re.MULTILINE,
)
"""What names a file, a data set or another process; a word too many only takes time."""


def test_the_book_was_built() -> None:
    assert NOTEBOOKS, "build the book first: nox -s book"


def test_wheel_and_sdist_are_small_and_carry_records_samples_and_licences(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True)
    (wheel,), (sdist,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    assert max(wheel.stat().st_size, sdist.stat().st_size) < 7e6
    with tarfile.open(sdist) as packed:  # no caches of the tools that ran here
        top = {Path(name).parts[1] for name in packed.getnames()}
    assert {name for name in top if name.startswith(".")} <= {".ci", ".github", ".gitignore"}
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        told = next(file.read(name).decode() for name in names if name.endswith("/METADATA"))
    for source, place in ((ROOT / "book/records", "dsbo_book/records"), (ROOT / "src", "")):
        for path in source.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert Path(place, path.relative_to(source)).as_posix() in names
    assert "License-File: src/dsbo_book/data/samples/LICENSES.md" in told
    plain = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", told, re.MULTILINE)
    assert sorted(plain) == ["networkx", "numpy", "safetensors", "torch", "tqdm"]
    for licence in ("BSD-3-Clause", "CC-BY-4.0", "CC-BY-SA-3.0", "MIT", "LicenseRef-MASC"):
        assert licence in told.partition("License-Expression: ")[2].partition("\n")[0]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_downloaded_notebook_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DSBO_DATA", "DSBO_RECORDS", "DSBO_SCALE", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    notebook = nbformat.read(path, as_version=4)
    first, *others = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "%pip install" in first.source
    # The same cells ran in `nox -s book`, in an empty folder too. What one that reaches for nothing
    # outside itself could miss here is a library, and the others use the same ones.
    if not any(OUTSIDE.search(cell.source) for cell in others):
        for cell in others:
            cell.source = imports(cell.source)
    execute(notebook, tmp_path, timeout=600)


def imports(source: str) -> str:
    """Return the lines of a cell that import something."""
    found = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Import | ast.ImportFrom)]
    return "\n".join(map(ast.unparse, found))
