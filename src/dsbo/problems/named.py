"""What a loss is called, so that a run is not resumed with another one."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any


def told(loss: Callable[..., Any]) -> str:
    """Return where a loss is defined, a checksum of its source, and the numbers it closes over.

    >>> told(partial(max, 3))
    'builtins.max (3)'
    """
    given: list[Any] = []
    while isinstance(loss, partial):
        given += [*loss.args, *loss.keywords.items()]
        loss = loss.func
    inner = loss if inspect.isroutine(loss) else type(loss)
    words = [f"{inner.__module__}.{inner.__qualname__}"]
    with suppress(OSError, TypeError):  # of what was typed into an interpreter it is not known
        words.append(hashlib.sha256(inspect.getsource(inner).encode()).hexdigest()[:12])
    for cell in getattr(loss, "__closure__", None) or ():
        with suppress(ValueError):  # a name that is not bound yet
            given.append(cell.cell_contents)
    plain = [value for value in given if _is_plain(value)]
    return " ".join([*words, *(["(" + ", ".join(map(repr, plain)) + ")"] if plain else [])])


def _is_plain(value: Any) -> bool:
    """Say whether a value has a short and lasting text: a number, a word, or a tuple of them."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, int | float | str)
