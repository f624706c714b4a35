"""What a loss is called, so that a run is not resumed with another one."""

from __future__ import annotations

import dis
import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import chain
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dsbo.layout import raw


def told(loss: Callable[..., Any]) -> str:
    """Return where a loss is defined, a checksum of its source, and the numbers it holds.

    Numbers and words are shown; tensors, modules and functions of the same file that it uses are
    told by a checksum. What else it holds has no lasting text and is not told.

    >>> told(partial(max, 3))
    'builtins.max (3)'
    """
    return " ".join(_words(loss, set()))


def _words(loss: Callable[..., Any], seen: set[int]) -> Iterator[str]:
    seen.add(id(loss))
    given: list[Any] = []
    while isinstance(loss, partial):
        given += [*loss.args, *loss.keywords.items()]
        loss = loss.func
    inner = loss if inspect.isroutine(loss) else type(loss)
    yield f"{inner.__module__}.{inner.__qualname__}"
    with suppress(OSError, TypeError):  # of what was typed into an interpreter it is not known
        yield hashlib.sha256(inspect.getsource(inner).encode()).hexdigest()[:12]
    given += _held(loss)
    plain = [value for value in given if _is_plain(value)]
    if plain:
        yield "(" + ", ".join(map(repr, plain)) + ")"
    digest = hashlib.sha256()
    for part in chain.from_iterable(_bytes(v, inner, seen) for v in given if not _is_plain(v)):
        digest.update(part)
    if digest.digest() != hashlib.sha256().digest():
        yield digest.hexdigest()[:12]


def _held(loss: Callable[..., Any]) -> Iterator[Any]:
    """Give what a function or an object uses besides its arguments."""
    if not isinstance(loss, FunctionType):
        owner = getattr(loss, "__self__", loss)
        yield from () if inspect.ismodule(owner) else getattr(owner, "__dict__", {}).items()
        loss = getattr(loss, "__func__", type(loss).__call__)
    if not isinstance(loss, FunctionType):
        return
    yield from loss.__defaults__ or ()
    yield from (loss.__kwdefaults__ or {}).items()
    for cell in loss.__closure__ or ():
        with suppress(ValueError):  # a name that is not bound yet
            yield cell.cell_contents
    names = _names(loss.__code__) & loss.__globals__.keys()
    yield from (loss.__globals__[name] for name in sorted(names))


def _names(code: CodeType) -> set[str]:
    """Return the names that some code and the functions within it look up."""
    inner = (_names(part) for part in code.co_consts if isinstance(part, CodeType))
    own = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    return own.union(*inner)


def _is_plain(value: Any) -> bool:
    """Say whether a value has a short and lasting text: a number, a word, or a tuple of them."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, int | float | str)


def _bytes(value: Any, by: Any, seen: set[int]) -> Iterator[bytes | memoryview]:
    """Give what tells a value from others in any process; nothing of what has no lasting text."""
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc":
        value = torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder("=")))
    if isinstance(value, nn.Module):
        value = value.state_dict()
    if _is_plain(value):
        yield repr(value).encode()
    elif isinstance(value, Tensor):
        yield f"{value.dtype} {list(value.shape)}".encode()
        yield raw(value)
    elif isinstance(value, Mapping):
        yield from chain.from_iterable(_bytes(pair, by, seen) for pair in value.items())
    elif isinstance(value, list | tuple):
        yield from chain.from_iterable(_bytes(part, by, seen) for part in value)
    elif isinstance(value, FunctionType | partial) and id(value) not in seen:
        here = getattr(value, "__module__", by.__module__) == by.__module__
        yield from (word.encode() for word in _words(value, seen)) if here else ()
