"""Derivatives of some agents after others, for less memory or for bits that stay."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from dsbo.levels import Level, Pair, Point, Quad
from dsbo.ragged import Lengths


@dataclass(frozen=True)
class Chunked(Level):
    """The same answers as ``level``, computed for ``size`` agents at a time.

    What a loss makes on its way is then there for so many agents only. One at a time, an agent's
    row has the same bits whoever else is here: a batched product may add up in an order that
    depends on how many agents are in the batch.

    Parameters
    ----------
    first : Level
        Computes the first agents, and counts: oracle calls are those of one agent.
    others : Level
        Computes the other ones.
    size : int
        Agents at a time.
    """

    first: Level
    others: Level
    size: int

    @classmethod
    def of(cls, level: Level, size: int) -> Chunked:
        """Return ``level`` in chunks."""
        return cls(level, level.counted(Counter()), size)

    def value(self, x: Tensor, y: Tensor, batch: Any) -> Tensor:
        """Return each agent's loss, ``[n]``."""
        return torch.cat([level.value(*point) for level, point in self._each(x, y, batch)])

    def grad(self, x: Tensor, y: Tensor, batch: Any) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        return _together([level.grad(*point) for level, point in self._each(x, y, batch)])

    def at(self, x: Tensor, y: Tensor, batch: Any) -> ChunkedPoint:
        """Return the level at a point, which keeps what was made on the way of all agents."""
        points = [level.at(*point) for level, point in self._each(x, y, batch)]
        return ChunkedPoint(points, self.size)

    def grad_hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Quad:
        """Return ∇₁, ∇₂, ∇²₁₂ v and ∇²₂₂ v, chunk after chunk."""
        parts = [level.grad_hess(*point) for level, point in self._each(x, y, batch, v)]
        g1, g2, jv, hv = (torch.cat(column) for column in zip(*parts, strict=True))
        return g1, g2, jv, hv

    def jac(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        """Return ∇²₁₂ v ``[n, d]`` alone, chunk after chunk."""
        return torch.cat([level.jac(*point) for level, point in self._each(x, y, batch, v)])

    def hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        """Return ∇²₂₂ v ``[n, p]`` alone, chunk after chunk."""
        return torch.cat([level.hess(*point) for level, point in self._each(x, y, batch, v)])

    def counted(self, calls: Counter[str]) -> Chunked:
        """Return the same level that adds one agent's oracle calls to ``calls``."""
        return replace(self, first=self.first.counted(calls))

    def _each(self, *whole: Any) -> list[tuple[Level, Any]]:
        starts = range(0, len(whole[0]), self.size)
        levels = [self.first] + [self.others] * (len(starts) - 1)
        parts = (tree_map(partial(_rows, start=i, size=self.size), whole) for i in starts)
        return list(zip(levels, parts, strict=True))


@dataclass(frozen=True)
class ChunkedPoint:
    """The points of the chunks."""

    points: list[Point]
    size: int

    def grad(self) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        return _together([point.grad() for point in self.points])

    def both(self, v: Tensor) -> Pair:
        """Return ∇²₁₂ v ``[…, n, d]`` and ∇²₂₂ v ``[…, n, p]``."""
        return _together([point.both(own) for point, own in self._each(v)])

    def jac(self, v: Tensor) -> Tensor:
        """Return ∇²₁₂ v ``[…, n, d]`` alone."""
        return torch.cat([point.jac(own) for point, own in self._each(v)], dim=-2)

    def hess(self, v: Tensor) -> Tensor:
        """Return ∇²₂₂ v ``[…, n, p]`` alone."""
        return torch.cat([point.hess(own) for point, own in self._each(v)], dim=-2)

    def _each(self, v: Tensor) -> list[tuple[Point, Tensor]]:
        rows = (part.clone() for part in torch.split(v, self.size, dim=-2))
        return list(zip(self.points, rows, strict=True))


def _together(pairs: list[Pair]) -> Pair:
    g1, g2 = (torch.cat(column, dim=-2) for column in zip(*pairs, strict=True))
    return g1, g2


def _rows(value: Any, start: int, size: int) -> Any:
    if isinstance(value, Lengths):
        return Lengths(value[start : start + size])
    # Copies, because the bits of a product may also depend on where a row starts.
    return value[start : start + size].clone() if isinstance(value, Tensor) else value
