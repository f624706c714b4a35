"""Numbers in the prose of a page that come from its run."""

from __future__ import annotations

from typing import Any

UNSEEN = "application/papermill.record/"
"""Before the type of an output, this keeps it off the page; the book's build looks for it."""


def glue(name: str, value: Any) -> None:
    """Let the prose of a page show a value of its run, as ``{glue:text}`name```.

    The cell itself shows nothing. The form is that of scrapbook, which MyST-NB reads, but a page
    that runs elsewhere needs neither, and outside of a notebook nothing happens.

    Parameters
    ----------
    name : str
        What the prose calls it.
    value : object
        What the prose shows, as a notebook would.
    """
    from IPython import get_ipython  # wherever a notebook runs
    from IPython.display import display

    if (shell := get_ipython()) is None:
        return
    shown, _ = shell.display_formatter.format(value)
    told = {"scrapbook": {"name": name, "mime_prefix": UNSEEN}}
    display({UNSEEN + kind: text for kind, text in shown.items()}, raw=True, metadata=told)
