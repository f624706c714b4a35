"""A level whose derivatives are compiled."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from dsbo.levels import Level, Pair, Point
from dsbo.traced import UNWRITTEN, Graph, compiled, nothing, parted, written

Parts = tuple[Graph, Graph, list[Tensor], Counter[str]]
"""What does not depend on the vector, the rest, what both hold, and what an answer counts."""


@dataclass(frozen=True)
class Compiled(Level):
    """The same answers as ``level``, compiled for each shape that they are asked for.

    Parameters
    ----------
    level : Level
        Whose derivatives are compiled. Its Python must not look at the values of tensors.
    calls : Counter
        Where oracle calls are counted.
    """

    level: Level
    calls: Counter[str] = field(default_factory=Counter, compare=False, repr=False)
    graphs: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def value(self, x: Tensor, y: Tensor, batch: Any) -> Tensor:
        """Return each agent's loss, ``[n]``; not compiled."""
        return self.level.value(x, y, batch)

    def grad(self, x: Tensor, y: Tensor, batch: Any) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``; one gradient call."""
        g1, g2 = CompiledPoint(self, x, y, batch).answer("grad")
        return g1, g2

    def at(self, x: Tensor, y: Tensor, batch: Any) -> CompiledPoint:
        """Return the level at a point."""
        return CompiledPoint(self, x, y, batch)

    def counted(self, calls: Counter[str]) -> Compiled:
        """Return the same level that adds its oracle calls to ``calls``."""
        return replace(self, calls=calls)


class CompiledPoint:
    """A compiled level at a point: of each product, the part without v is computed once."""

    def __init__(self, level: Compiled, x: Tensor, y: Tensor, batch: Any) -> None:
        leaves, self.form = tree_flatten((x, y, batch))
        self.level = level
        self.leaves = [part.contiguous() for part in leaves if isinstance(part, Tensor)]
        self.fixed = [None if isinstance(part, Tensor) else (part,) for part in leaves]
        self.known: dict[Any, Sequence[Tensor]] = {}

    def grad(self) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        g1, g2 = self.answer("grad")
        return g1, g2

    def both(self, v: Tensor) -> Pair:
        """Return ∇²₁₂ v ``[…, n, d]`` and ∇²₂₂ v ``[…, n, p]``."""
        jv, hv = self.answer("both", v)
        return jv, hv

    def jac(self, v: Tensor) -> Tensor:
        """Return ∇²₁₂ v ``[…, n, d]`` alone."""
        return self.answer("jac", v)[0]

    def hess(self, v: Tensor) -> Tensor:
        """Return ∇²₂₂ v ``[…, n, p]`` alone."""
        return self.answer("hess", v)[0]

    def answer(self, what: str, *vector: Tensor) -> Sequence[Tensor]:
        """Return what the level answers, as a list."""
        v = [part.contiguous() for part in vector]
        shapes = ((part.dtype, part.shape) for part in (*self.leaves, *v))
        key = what, self.form, *self.fixed, *shapes
        if key not in self.level.graphs:
            self.level.graphs[key] = self._compiled(what, v)
        if self.level.graphs[key] is None:
            found = getattr(self.plain, what)(*v)
            return found if isinstance(found, tuple) else (found,)
        first, rest, held, counts = self.level.graphs[key]
        if key not in self.known:
            self.known[key] = first(*self.leaves, *v, *held)
        self.level.calls.update(counts)
        return rest(*self.leaves, *v, *held, *self.known[key]) if v else self.known[key]

    @cached_property
    def plain(self) -> Point:
        """The point, not compiled."""
        return self.level.level.counted(self.level.calls).at(*self._where(self.leaves))

    def _where(self, leaves: Sequence[Tensor]) -> Any:
        """Return x, y and the batch made of tensors and of what is none, such as None."""
        left = iter(leaves)
        whole = [next(left) if fixed is None else fixed[0] for fixed in self.fixed]
        return tree_unflatten(whole, self.form)

    def _compiled(self, what: str, v: list[Tensor]) -> Parts | None:
        """Return the compiled parts of an answer, or None, with a warning, if it has no graph."""
        try:
            return self._parts(what, v)
        except UNWRITTEN as error:
            first = next(iter(str(error).splitlines()), type(error).__name__)
            warnings.warn(
                f"the derivatives are not compiled: {first}. The run goes on "
                "without; a C++ compiler is needed, and losses that do not look at values",
                stacklevel=4,
            )
            return None

    def _parts(self, what: str, v: list[Tensor]) -> Parts:
        """Return two compiled parts of an answer, what they hold and what it counts."""
        calls = Counter[str]()
        level = self.level.level.counted(calls)

        def work(leaves: list[Tensor], v: list[Tensor]) -> list[Tensor]:
            found = getattr(level.at(*self._where(leaves)), what)(*v)
            return list(found) if isinstance(found, tuple) else [found]

        # Two of them may be one tensor, and what is done with one would be done with the other.
        own = [part.view_as(part) for part in self.leaves]
        graph, held = written(work, own, v)
        inputs = [*self.leaves, *v, *held]
        if not v:
            return compiled(graph, inputs), nothing, held, calls
        first, rest = parted(graph, len(self.leaves))
        early = nothing if first is None else compiled(first, inputs)
        return early, compiled(rest, [*inputs, *early(*inputs)]), held, calls
