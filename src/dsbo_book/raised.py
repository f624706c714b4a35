"""Every error that the package raises by itself, read off its source."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dsbo
from dsbo.conformance import Nonconforming

__all__ = ["Raised", "raised"]

OWN = {
    kind.__name__: kind
    for kind in (dsbo.CheckpointError, dsbo.Diverged, dsbo.PeerLost, dsbo.TraceError, Nonconforming)
}


class Raised(NamedTuple):
    """An error that can be raised.

    Parameters
    ----------
    module : str
        Where.
    kind : str
        The exception.
    text : str
        What it says; … stands for a value.
    """

    module: str
    kind: str
    text: str


def raised() -> list[Raised]:
    """Return all errors with a text of their own, in the order of the modules and lines."""
    root = Path(dsbo.__file__).parent
    return [
        Raised(".".join(path.relative_to(root).with_suffix("").parts), *found)
        for path in sorted(root.rglob("*.py"))
        for found in _in(ast.parse(path.read_text("utf-8")))
    ]


def _in(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield kind and text of every exception that a module makes, to raise it or to hand it on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            kind = getattr(builtins, node.func.id, None) or OWN.get(node.func.id)
            if isinstance(kind, type) and issubclass(kind, Exception):
                told = next((text for part in node.args if (text := _text(part))), "")
                yield node.func.id, " ".join(told.split())


def _text(node: ast.expr) -> str:
    """Return a string as it will read, with … for what is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return "…"
