"""Second-order products from gradients alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from dsbo.checked import positive
from dsbo.levels import Level, Pair


@dataclass(frozen=True)
class FirstOrder(Level):
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

    differences: ClassVar[bool] = True

    level: Level
    delta: float | None = None
    central: bool = False

    def __post_init__(self) -> None:
        if self.delta is not None:
            object.__setattr__(self, "delta", positive(self.delta, "delta"))
        if not isinstance(self.central, bool):
            raise TypeError(f"central must be True or False, got {self.central!r}")

    def value(self, x: Tensor, y: Tensor, batch: Any) -> Tensor:
        """Return each agent's loss, ``[n]``."""
        return self.level.value(x, y, batch)

    def grad(self, x: Tensor, y: Tensor, batch: Any) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        return self.level.grad(x, y, batch)

    def at(self, x: Tensor, y: Tensor, batch: Any) -> DifferencePoint:
        """Return the level at a point."""
        return DifferencePoint(self, x, y, batch)

    def over(self, made: Callable[[Level], Level]) -> FirstOrder:
        """Return differences of ``made`` of the level within."""
        return replace(self, level=self.level.over(made))

    def counted(self, calls: Counter[str]) -> FirstOrder:
        """Return the same level that adds its gradient calls to ``calls``."""
        return replace(self, level=self.level.counted(calls))


class DifferencePoint:
    """Differences of gradients at a point; the gradients there are called once, if at all."""

    def __init__(self, first_order: FirstOrder, x: Tensor, y: Tensor, batch: Any) -> None:
        self.delta, self.central = first_order.delta, first_order.central
        self.level, self.x, self.y, self.batch = first_order.level, x, y, batch
        self.here: Pair | None = None

    def grad(self) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        if self.here is None:
            self.here = self._grad(self.y)
        return self.here

    def both(self, v: Tensor) -> Pair:
        """Return the differences that stand for ∇²₁₂ v and ∇²₂₂ v."""
        if v.ndim == 3:
            jvs, hvs = zip(*map(self.both, v), strict=True)
            return torch.stack(jvs), torch.stack(hvs)
        s = self._length(v)
        a1, a2 = self._grad(self.y + s * v)
        b1, b2 = self._grad(self.y - s * v) if self.central else self.grad()
        width = 2 * s if self.central else s
        return (a1 - b1) / width, (a2 - b2) / width

    def jac(self, v: Tensor) -> Tensor:
        """Return the difference that stands for ∇²₁₂ v."""
        return self.both(v)[0]

    def hess(self, v: Tensor) -> Tensor:
        """Return the difference that stands for ∇²₂₂ v."""
        return self.both(v)[1]

    def _grad(self, y: Tensor) -> Pair:
        return self.level.grad(self.x, y, self.batch)

    def _length(self, v: Tensor) -> Tensor:
        delta = self.delta or torch.finfo(v.dtype).eps ** (1 / 3 if self.central else 1 / 2)
        norm = torch.linalg.vector_norm(v, dim=1, keepdim=True)
        return delta / torch.where(norm > 0, norm, 1.0)
