"""Run a notebook in a kernel of its own."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbformat import NotebookNode


def execute(notebook: NotebookNode, folder: Path, **options: Any) -> NotebookNode:
    """Return the notebook with its outputs.

    Kernels that start at the same time may choose the same port, and then one of them never
    answers: it is started once more.
    """
    options |= {"kernel_name": "python3", "resources": {"metadata": {"path": str(folder)}}}
    try:
        return NotebookClient(deepcopy(notebook), **options).execute()
    except RuntimeError as error:
        if "Kernel didn't respond" not in str(error):
            raise
        return NotebookClient(deepcopy(notebook), **options).execute()
