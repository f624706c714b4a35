"""What a check of a problem found, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Ways(NamedTuple):
    """A hypergradient by three ways.

    Parameters
    ----------
    cg, unrolled : Tensor
        ``[d]``, by conjugate gradients and by differentiation through steps of descent.
    directions : Tensor
        ``[k, d]``, of length one; the first is that of the hypergradient.
    differences : Tensor
        Slopes ``[k]`` along them, by central differences of Φ.
    error : float
        By how much rounding, and a lower level not quite solved, may make one of them wrong.
    stopped : str
        Why conjugate gradients did not arrive, or nothing.
    """

    cg: Tensor
    unrolled: Tensor
    directions: Tensor
    differences: Tensor
    error: float
    stopped: str

    @property
    def apart(self) -> dict[str, float]:
        """How far each pair of ways is apart, relative to the larger one."""
        by_cg, by_descent = (self.directions @ way for way in (self.cg, self.unrolled))
        return {
            "CG and differences": _apart(by_cg, self.differences),
            "CG and unrolled": _apart(self.cg, self.unrolled),
            "differences and unrolled": _apart(self.differences, by_descent),
        }

    @property
    def rounding(self) -> float:
        """The error of the differences, relative to the slopes."""
        slopes = self.directions @ self.cg
        size = max(float(slopes.norm()), float(self.differences.norm()))
        return self.error / size if size else 0.0


@dataclass(frozen=True, eq=False)
class Report:
    """What `Problem.check` returns; ``print`` it.

    Parameters
    ----------
    x, y : Tensor
        Where the problem was looked at, ``[d]``, and the lower solution there: ``[p]``, or
        ``[N, p]`` where every agent has its own.
    steps : int
        Of the descent that found it.
    slope, goal : float
        Largest norm of a lower gradient that is left, and what it should have come to.
    low, high : float
        Smallest and largest curvature of the lower level there, bounds from within.
    impure : str
        What a loss does that no derivative can tell, or nothing.
    seconds : dict
        Of one gradient, Hessian product and Jacobian product of the lower level, of all agents'
        batches of an iteration.
    estimated, measured : int
        Bytes of tensors at the peak of a step: told from a few agents, and of all.
    ways : Ways or None
        The hypergradient there; None if the lower level is not solved or not strongly convex.
    """

    x: Tensor
    y: Tensor
    steps: int
    slope: float
    goal: float
    low: float
    high: float
    impure: str
    seconds: dict[str, float]
    estimated: int
    measured: int
    ways: Ways | None = None

    @property
    def tolerance(self) -> float:
        """Up to where two ways agree: what differences of this precision can tell."""
        return float(torch.finfo(self.x.dtype).eps ** 0.25)

    @property
    def convex(self) -> bool:
        """Whether the smallest curvature is positive, and not by rounding."""
        return self.low > 32 * torch.finfo(self.x.dtype).eps * abs(self.high)

    @property
    def condition(self) -> float:
        """The largest curvature over the smallest; infinite where that is not positive."""
        return self.high / self.low if self.convex else float("inf")

    @property
    def verdict(self) -> str:
        """What is wrong, first of all, and what to do; nothing if nothing is."""
        return next(self._faults(), "")

    def _faults(self) -> Iterator[str]:
        """Give what is wrong, a cause before its consequences."""
        if self.impure:
            yield self.impure
        if not math.isfinite(self.low):
            yield (
                "the lower level has no minimum that descent finds from this y, it left all finite "
                "numbers: add a ridge, or give another y"
            )
        if not self.convex:
            yield (
                "the lower level is not strongly convex at y*(x), its smallest curvature is "
                f"{self.low:.3g} (the largest {self.high:.3g}): add a ridge, "
                f"ridge={max(-self.low, abs(self.high) / 100):.2g} for instance. Without, y*(x) "
                "and ∇Φ may not exist; a run goes on all the same, but no theory is about it"
            )
        if not self.slope <= self.goal:
            yield (
                f"the lower level is not solved: after {self.steps} steps ‖∇₂g‖ is "
                f"{self.slope:.2g}, not {self.goal:.2g}. Take more steps=, a y that is nearer, or "
                "a ridge; if none helps, the loss has a kink at y*(x)"
            )
        if self.ways:
            yield from self._disagreements(self.ways)

    def _disagreements(self, ways: Ways) -> Iterator[str]:
        apart = ways.apart
        if max(apart.values()) <= self.tolerance:
            return
        if ways.stopped:
            yield f"{ways.stopped} (products= says how many)"
        if apart["CG and unrolled"] > self.tolerance:
            yield (
                "conjugate gradients and unrolled descent disagree: products of the lower level "
                "are not the derivatives of its loss, or it is so ill-conditioned that it needs "
                "more products= and steps=, or a ridge"
            )
        if ways.rounding > self.tolerance:
            remedy = (
                "Φ is almost flat at this x, or the lower level ill-conditioned; take another x, "
                "or a ridge"
                if self.x.dtype == torch.float64
                else "take float64: starts and data .double()"
            )
            yield (
                f"{self.x.dtype} is too coarse: rounding alone may make differences of Φ wrong by "
                f"{ways.rounding:.2g} of their size; {remedy}"
            )
        yield (
            "differences of Φ disagree with both derivatives: the loss is not twice "
            "differentiable near y*(x) (relu, abs, max). Take softplus, tanh or a smooth norm; if "
            "it is only a kink beside this x, take another x"
        )

    def __str__(self) -> str:
        state = "solved" if self.slope <= self.goal else "not solved"
        costs = ", ".join(f"{what} {1e3 * took:.3g} ms" for what, took in self.seconds.items())
        lines = [
            f"lower level    {state}: ‖∇₂g‖ = {self.slope:.2g} after {self.steps} steps",
            f"curvature      {self.low:.3g} to {self.high:.3g}, condition {self.condition:.3g}",
        ]
        if self.ways:
            pairs = self.ways.apart.items()
            lines += [f"hypergradient  {pair}: {by:.2g} apart" for pair, by in pairs]
        return "\n".join(
            [
                *lines,
                f"cost           {costs}",
                f"memory         {_size(self.estimated)} told, {_size(self.measured)} measured",
                f"verdict        {self.verdict or 'all three ways agree'}",
            ]
        )


def _apart(a: Tensor, b: Tensor) -> float:
    larger = max(float(a.norm()), float(b.norm()))
    return float((a - b).norm()) / larger if larger else 0.0


def _size(count: int) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"
