"""What has moved to `dsbo_book`, told to those who ask for it here."""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any

MODULES = ("claims", "data", "experiments", "plots", "symbolic")


def moved(module: str, *names: str, **renamed: str) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a module that tells where these names are now.

    Parameters
    ----------
    module : str
        Name of the module.
    names : str
        What has kept its name.
    renamed : str
        What has another one now.

    Raises
    ------
    ImportError
        When one of them is asked for.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name in names or name in renamed:
            raise _elsewhere(f"{module}.{name}", renamed.get(name, name))
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return __getattr__


class Finder:
    """The last one that is asked for a module; it finds nothing, but knows where some are now."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG004
        """Raise an ImportError for ``dsbo.data`` and the like."""
        package, _, rest = name.partition(".")
        if package == "dsbo" and rest in MODULES:
            raise _elsewhere(name, rest)
        return None


def _elsewhere(name: str, last: str) -> ImportError:
    new = name.replace("dsbo.", "dsbo_book.", 1).rpartition(".")[0] + f".{last}"
    return ImportError(f"{name} is {new} now; pip install 'dsbo[book]' brings what it needs")
