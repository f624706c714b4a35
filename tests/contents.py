"""The pages of the book, as its table of contents names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

BOOK = Path(__file__).resolve().parents[1] / "book"


def toc_files(node: Any) -> list[str]:
    """Every ``file`` and ``root`` named anywhere in the table of contents."""
    if isinstance(node, dict):
        own = [node[key] for key in ("root", "file") if key in node]
        return own + [f for value in node.values() for f in toc_files(value)]
    if isinstance(node, list):
        return [f for value in node for f in toc_files(value)]
    return []


def sources() -> list[Path]:
    return [BOOK / f"{e}.md" for e in toc_files(yaml.safe_load((BOOK / "_toc.yml").read_text()))]
