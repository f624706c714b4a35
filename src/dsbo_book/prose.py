"""Numbers in the prose of a page that come from its run."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

UNSEEN = "application/papermill.record/"
"""Before the type of an output, this keeps it off the page; the book's build looks for it."""


def shell() -> Any:
    """Return IPython's shell in a notebook, else None; none is started, nor IPython imported."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def glue(name: str, value: Any) -> None:
    """Let the prose of a page show a value of its run, as ``{glue:text}`name```.

    The cell itself shows nothing. The form is that of scrapbook, which MyST-NB reads, but a page
    that runs elsewhere needs neither, and outside of a notebook nothing happens.

    Parameters
    ----------
    name : str
        What the prose calls it.
    value : object
        What the prose shows, as a notebook would; a number of NumPy's as Python's.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if (here := shell()) is None:
        return
    from IPython.display import display

    shown, _ = here.display_formatter.format(value)
    told = {"scrapbook": {"name": name, "mime_prefix": UNSEEN}}
    display({UNSEEN + kind: text for kind, text in shown.items()}, raw=True, metadata=told)
