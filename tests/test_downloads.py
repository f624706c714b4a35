"""Every notebook of the built book runs in an empty folder, where its first cell installs all."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = [pytest.mark.download, pytest.mark.timeout(3600)]

SOURCES = Path(__file__).resolve().parents[1] / "book/_build/html/_sources"
NOTEBOOKS = sorted(SOURCES.glob("*.ipynb"))


def test_the_book_was_built() -> None:
    assert NOTEBOOKS, "build the book first: nox -s book"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_downloaded_notebook_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DSBO_DATA", "DSBO_RECORDS", "DSBO_SCALE", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    notebook = nbformat.read(path, as_version=4)
    assert "%pip install" in notebook.cells[0].source
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
