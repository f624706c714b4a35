"""What a word of the command line stands for; argparse tells a user why it stands for nothing."""

from __future__ import annotations

import os
import platform
from argparse import Action, ArgumentParser, ArgumentTypeError
from importlib.metadata import version
from pathlib import Path
from typing import Any


class Version(Action):
    """Print the versions, which are looked up only then."""

    def __call__(self, parser: ArgumentParser, *_: Any) -> None:
        """Print and exit."""
        python = platform.python_version()
        print(f"dsbo {version('dsbo')} (torch {version('torch')}, Python {python})")
        parser.exit()


def seed(text: str) -> int:
    """Return a seed."""
    try:
        value = int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no whole number, such as 0 or 17") from None
    if not 0 <= value < 2**63:
        wrong = "negative" if value < 0 else "too large"
        raise ArgumentTypeError(f"{text} is {wrong}; give whole numbers from 0 to 2**63 - 1")
    return value


def device(text: str) -> str:
    """Return a device that is there and computes."""
    from dsbo.arguments import place

    if "WORLD_SIZE" in os.environ:  # every rank takes the GPU of its own when it joins
        return text
    try:
        place(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    return text


def seconds(text: str) -> float:
    """Return a timeout."""
    from dsbo.network.watch import require_timeout

    try:
        return require_timeout(float(text))
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def pair(text: str) -> tuple[str, str]:
    """Return a key and a value."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise ArgumentTypeError(f"{text!r} is not KEY=VALUE, such as graph=torus")
    return key, value


def picture(text: str) -> Path:
    """Return the file of a figure, whose suffix says what to write."""
    from matplotlib.backend_bases import FigureCanvasBase

    path, known = Path(text), sorted(FigureCanvasBase.filetypes)
    if path.suffix.lower().removeprefix(".") not in known:
        raise ArgumentTypeError(f"{text!r} does not end in one of .{', .'.join(known)}")
    return path
