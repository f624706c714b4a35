"""What the book is made of: claims, symbols, plots, data sets, problems, experiments and a command.

The package `dsbo` needs nothing of this. ``pip install 'dsbo[book]'`` brings what this needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsbo_book.claims import claim, refuted
    from dsbo_book.prose import glue

__all__ = ["claim", "glue", "refuted"]


def __getattr__(name: str) -> Any:
    # The command line must answer before SymPy, which takes seconds, is there.
    if name in __all__:
        return getattr(import_module(f"dsbo_book.{'prose' if name == 'glue' else 'claims'}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
