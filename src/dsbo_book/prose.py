"""Numbers in the prose of a page that come from its run."""

from __future__ import annotations

from typing import Any

UNSEEN = "application/papermill.record/"
"""Before the type of an output, this keeps it off the page; the book's build looks for it."""


def glue(name: str, value: Any) -> None:
    """Let the prose of a page show a value of its run, as ``{glue:text}`name```.

    The cell itself shows nothing. The form is that of scrapbook, which MyST-NB reads, but a page
    that runs elsewhere needs neither.

    Parameters
    ----------
    name : str
        What the prose calls it.
    value : object
        What the prose shows, as a notebook would.
    """
    from IPython.core.formatters import format_display_data  # wherever a notebook runs
    from IPython.display import display

    shown, _ = format_display_data(value)
    told = {"scrapbook": {"name": name, "mime_prefix": UNSEEN}}
    display({UNSEEN + kind: text for kind, text in shown.items()}, raw=True, metadata=told)
