"""Second-order products from gradients alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dsbo.levels import Level, Pair, Quad


@dataclass(frozen=True)
class FirstOrder:
    """The same answers as ``level`` from gradients alone, by differences along v.

    One-sided, with two gradient calls and an error of order δ:

        ∇²₂₂g v ≈ (∇₂g(x, y + s v) − ∇₂g(x, y)) / s,        s = δ / ‖v‖

    Central, with three calls and an error of order δ²: y + s v against y − s v, divided by 2s. The
    same batch is used at every point; with different ones the variance would grow like 1/δ².
    Exact on quadratics whatever δ is.

    Parameters
    ----------
    level : Level
        Where the gradients come from.
    delta : float, optional
        Length of the displacement of y, in the units of y. By default the square root (one-sided)
        or the cube root (central) of the machine epsilon of y's dtype, which balances the
        difference's own error against rounding.
    central : bool
        Central instead of one-sided differences.
    """

    level: Level
    delta: float | None = None
    central: bool = False

    def __post_init__(self) -> None:
        if self.delta is not None and not self.delta > 0:
            raise ValueError(f"delta must be positive, got {self.delta}")

    def value(self, x: Tensor, y: Tensor, batch: Any) -> Tensor:
        """Return each agent's loss, ``[n]``."""
        return self.level.value(x, y, batch)

    def grad(self, x: Tensor, y: Tensor, batch: Any) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        return self.level.grad(x, y, batch)

    def grad_hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Quad:
        """Return ∇₁, ∇₂ and the differences that stand for ∇²₁₂ v and ∇²₂₂ v."""
        s = self._length(y, v)
        g1, g2 = self.level.grad(x, y, batch)
        a1, a2 = self.level.grad(x, y + s * v, batch)
        if self.central:
            b1, b2 = self.level.grad(x, y - s * v, batch)
            return g1, g2, (a1 - b1) / (2 * s), (a2 - b2) / (2 * s)
        return g1, g2, (a1 - g1) / s, (a2 - g2) / s

    def jac(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        """Return the difference that stands for ∇²₁₂ v; two gradient calls either way."""
        return self._difference(x, y, batch, v)[0]

    def hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        """Return the difference that stands for ∇²₂₂ v; two gradient calls either way."""
        return self._difference(x, y, batch, v)[1]

    def _difference(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Pair:
        s = self._length(y, v)
        a1, a2 = self.level.grad(x, y + s * v, batch)
        b1, b2 = self.level.grad(x, y - s * v if self.central else y, batch)
        width = 2 * s if self.central else s
        return (a1 - b1) / width, (a2 - b2) / width

    def _length(self, y: Tensor, v: Tensor) -> Tensor:
        delta = self.delta or torch.finfo(y.dtype).eps ** (1 / 3 if self.central else 1 / 2)
        norm = torch.linalg.vector_norm(v, dim=1, keepdim=True)
        return delta / torch.where(norm > 0, norm, 1.0)

    def counted(self, calls: Counter[str]) -> FirstOrder:
        """Return the same level that adds its gradient calls to ``calls``."""
        return replace(self, level=self.level.counted(calls))

    def compiled(self) -> FirstOrder:
        """Return the same level on compiled gradients."""
        return replace(self, level=self.level.compiled())
