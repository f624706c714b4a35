"""Derivatives of one agent after the other, whose bits do not depend on who else is here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from dsbo.levels import Level, Pair, Point


@dataclass(frozen=True)
class OneByOne(Level):
    """The same answers as ``level``, computed for one agent after the other.

    A batched product may add up in an order that depends on how many agents are in the batch.
    Alone, an agent's row has the same bits whoever else is here.

    Parameters
    ----------
    first : Level
        Computes the first row, and counts: oracle calls are those of one agent.
    others : Level
        Computes the other rows.
    """

    first: Level
    others: Level

    @classmethod
    def of(cls, level: Level) -> OneByOne:
        """Return ``level`` one by one."""
        return cls(level, level.counted(Counter()))

    def value(self, x: Tensor, y: Tensor, batch: Any) -> Tensor:
        """Return each agent's loss, ``[n]``."""
        own = zip(self._levels(len(x)), _rows(x, y, batch), strict=True)
        return torch.cat([level.value(*point) for level, point in own])

    def grad(self, x: Tensor, y: Tensor, batch: Any) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        own = zip(self._levels(len(x)), _rows(x, y, batch), strict=True)
        return _together([level.grad(*point) for level, point in own])

    def at(self, x: Tensor, y: Tensor, batch: Any) -> PointsOneByOne:
        """Return the level at a point."""
        own = zip(self._levels(len(x)), _rows(x, y, batch), strict=True)
        return PointsOneByOne([level.at(*point) for level, point in own])

    def counted(self, calls: Counter[str]) -> OneByOne:
        """Return the same level that adds one agent's oracle calls to ``calls``."""
        return replace(self, first=self.first.counted(calls))

    def _levels(self, n: int) -> list[Level]:
        return [self.first] + [self.others] * (n - 1)


@dataclass(frozen=True)
class PointsOneByOne:
    """The points of one agent each."""

    points: list[Point]

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
        rows = (v[..., i : i + 1, :].clone() for i in range(len(self.points)))
        return list(zip(self.points, rows, strict=True))


def _together(pairs: list[Pair]) -> Pair:
    g1, g2 = (torch.cat(column, dim=-2) for column in zip(*pairs, strict=True))
    return g1, g2


def _rows(x: Tensor, y: Tensor, batch: Any) -> list[tuple[Tensor, Tensor, Any]]:
    # Copies, because the bits of a product may also depend on where a row starts.
    whole = x, y, batch
    return [tree_map(partial(_row, i=i), whole) for i in range(len(x))]


def _row(value: Any, i: int) -> Any:
    return value[i : i + 1].clone() if isinstance(value, Tensor) else value
