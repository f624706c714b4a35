"""An experiment is data: its cells, and what the run of a cell starts with.

A cell is a plain mapping of JSON values, such as ``{"method": "D-SOBA", "graph": "torus", "seed":
0}``. It tells a run from the others of its study: in a legend, in a record, and, as `stem`, among
files. What else shapes the numbers is read off what the cell starts: `identity`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from typing import Any, NamedTuple

from dsbo import provenance
from dsbo.algorithms import Algorithm
from dsbo.network import Network, PerLevel
from dsbo.problems import Problem
from dsbo_book import data

__all__ = ["Cell", "Start", "Study", "cross", "grid", "identity", "once", "stem"]

Cell = dict[str, Any]


class Start(NamedTuple):
    """What the run of a cell starts with.

    Parameters
    ----------
    algorithm : Algorithm
        What runs.
    problem : functools.partial
        Makes the problem it runs on: a function and its arguments by name, JSON values, so that the
        problem is known without its data. It is called only if the run has to be made.
    network : Network or PerLevel
        Over which weights.
    steps, every : int
        Iterations, and the period of the recorded rows.
    compile : bool
        Compile the derivatives.
    keep : bool
        Also keep the final mean x̄.
    """

    algorithm: Algorithm
    problem: partial[Problem]
    network: Network | PerLevel
    steps: int
    every: int
    compile: bool = False
    keep: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """Every argument of the problem, also those by default."""
        if self.problem.args:
            raise ValueError(f"give {self.problem.func.__name__} its arguments by name")
        return {key: told.default for key, told in signature(self.problem).parameters.items()}


@dataclass(frozen=True, repr=False)
class Study:
    """An experiment: one run a cell.

    Parameters
    ----------
    cells : sequence of dict
        Each with a ``seed``, that of the run; see `grid` and `cross`.
    start : callable
        Cell -> `Start`.

    Raises
    ------
    ValueError
        If two cells cannot be told apart by their `stem`.
    """

    cells: Sequence[Cell]
    start: Callable[[Cell], Start]

    def __post_init__(self) -> None:
        twice = [name for name, n in Counter(map(stem, self.cells)).items() if n > 1]
        if twice:
            raise ValueError(f"more than one cell is called {twice[0]}")

    def __repr__(self) -> str:
        return f"Study({len(self.cells)} cells)"

    def axis(self, name: str) -> list[Any]:
        """Return the values that the cells have of a key, each once, in their order."""
        return list(dict.fromkeys(cell[name] for cell in self.cells if name in cell))

    def at_seeds(self, seeds: Iterable[int]) -> Study:
        """Return the study with other seeds, each of which is given once."""
        seeds = list(seeds)
        if twice := [seed for seed, n in Counter(seeds).items() if n > 1]:
            raise ValueError(f"the seed {twice[0]} is given more than once; give each once")
        rest = [{k: v for k, v in cell.items() if k != "seed"} for cell in self.cells]
        return replace(self, cells=cross(once(rest), grid(seed=seeds)))


def grid(**axes: Iterable[Any]) -> list[Cell]:
    """Return the product of axes as cells, the last axis running fastest.

    >>> grid(method=["D-SOBA"], seed=[0, 1])
    [{'method': 'D-SOBA', 'seed': 0}, {'method': 'D-SOBA', 'seed': 1}]
    """
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def cross(*tables: Sequence[Cell]) -> list[Cell]:
    """Return the product of lists of cells, the last list running fastest; ``+`` is their union."""
    return [
        {key: value for part in parts for key, value in part.items()}
        for parts in itertools.product(*tables)
    ]


def once(cells: Sequence[Cell]) -> list[Cell]:
    """Return every cell once, in the order of the first."""
    return [cell for k, cell in enumerate(cells) if cell not in cells[:k]]


def stem(cell: Cell) -> str:
    """Return a cell as the stem of a file name, whatever the order of its keys.

    >>> stem({"method": "D-SOBA", "graph": "adjusted ring", "alpha": 2000.0})
    'alpha-2000_graph-adjusted-ring_method-d-soba'
    """
    words = (
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in sorted(cell.items())
    )
    return "_".join(re.sub(r"[^a-z0-9.+-]+", "-", word.lower()) for word in words)


def identity(start: Start) -> dict[str, Any]:
    """Return all that shapes the numbers of a run but its cell, as it comes back from a JSON file.

    No data are read: a data set is told by the checksums of its files.
    """
    dataset, network = start.arguments.get("dataset"), start.network.levels
    told = {
        "algorithm": provenance.settings(start.algorithm),
        "problem": {"function": start.problem.func.__name__, **start.arguments},
        "data": data.checksums(dataset) if dataset else {},
        "network": {
            "kind": network.kind,
            "sha256": provenance.checksum(network.matrices),
        },
        "steps": start.steps,
        "every": start.every,
    }
    plain: dict[str, Any] = json.loads(json.dumps(told))
    return plain
