"""Projections on sets in which x is kept: each row goes to the nearest point of the set.

``run(..., project=Box(0, 1))`` applies one to the start and to x after every iteration, of the
methods whose `Algorithm.projectable` is true. One of your own is a function from rows ``[n, d]`` to
rows; write it as a frozen dataclass with ``__call__`` if the run keeps checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dsbo.checked import positive, real

Projection = Callable[[Tensor], Tensor]
"""Rows ``[n, d]`` to the nearest rows ``[n, d]`` of a set, each by itself."""


@dataclass(frozen=True)
class Box:
    """All x with every entry between two bounds.

    Parameters
    ----------
    low, high : float
        The bounds, ``low`` at most ``high``; infinity is none.

    Raises
    ------
    TypeError, ValueError
        If a bound is no number, or nothing is between them.

    Examples
    --------
    >>> Box(0, 1)(torch.tensor([[-0.5, 0.25, 3.0]]))
    tensor([[0.0000, 0.2500, 1.0000]])
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value = real(getattr(self, name), f"Box.{name}", finite=False)
            object.__setattr__(self, name, value)
        if not self.low <= self.high:
            raise ValueError(
                f"Box.low must be at most Box.high, got {self.low} and {self.high}; exchange them"
            )

    def __call__(self, x: Tensor) -> Tensor:
        """Return the nearest rows ``[n, d]``."""
        return x.clamp(self.low, self.high)


@dataclass(frozen=True)
class Simplex:
    """All x with no negative entry whose entries add up to a total.

    Parameters
    ----------
    total : float
        Their sum, positive.

    Raises
    ------
    TypeError, ValueError
        If the total is no positive number.

    Examples
    --------
    >>> Simplex()(torch.tensor([[0.5, 0.75, -2.0]]))
    tensor([[0.3750, 0.6250, 0.0000]])
    """

    total: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", positive(self.total, "Simplex.total"))

    def __call__(self, x: Tensor) -> Tensor:
        """Return the nearest rows ``[n, d]``: x less a level, where that is positive.

        The level is that of the largest k entries for the largest k that stay positive.
        """
        # What is more than the total below the largest entry becomes zero; so no sum is large.
        x = (x - x.amax(1, keepdim=True)).clamp(min=-self.total)
        sums = x.sort(dim=1, descending=True).values
        counts = torch.arange(1, x.shape[1] + 1, dtype=x.dtype, device=x.device)
        levels = (sums.cumsum(1) - self.total) / counts
        k = (sums > levels).sum(1, keepdim=True)
        return (x - levels.gather(1, k - 1)).clamp(min=0)


@dataclass(frozen=True)
class Ball:
    """All x with a Euclidean norm of at most a radius.

    Parameters
    ----------
    radius : float
        The largest norm, positive.

    Raises
    ------
    TypeError, ValueError
        If the radius is no positive number.

    Examples
    --------
    >>> Ball(1)(torch.tensor([[3.0, 4.0], [0.5, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.5000, 0.0000]])
    """

    radius: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", positive(self.radius, "Ball.radius"))

    def __call__(self, x: Tensor) -> Tensor:
        """Return the nearest rows ``[n, d]``."""
        # Squares of large numbers overflow, those of shares of the largest do not.
        largest = x.abs().amax(1, keepdim=True).clamp(min=self.radius)
        share = x / largest
        norm = torch.linalg.vector_norm(share, dim=1, keepdim=True)
        return torch.where(norm * largest > self.radius, share / norm * self.radius, x)
