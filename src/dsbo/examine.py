"""A problem of one's own, looked at before it is run: its hypergradient by three ways.

They share little and must agree: conjugate gradients on second-order products, central
differences of Φ(x) = mean of f_i(x, y*(x)) with the lower level solved again, and automatic
differentiation through steps of descent. Which of them disagree tells what is wrong.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from dsbo.checked import whole
from dsbo.descent import Minimum, minimise, unrolled
from dsbo.hypergrad import cg, curvature
from dsbo.memory import Method, measured, predicted
from dsbo.report import Report, Ways
from dsbo.world import Draws

if TYPE_CHECKING:
    from dsbo.problems import Problem


def examine(
    problem: Problem,
    x: Tensor | None,
    y: Tensor | None,
    shared: bool,
    method: Method,
    steps: int,
    products: int,
    directions: int,
    progress: bool | None,
) -> Report:
    """Return what `Problem.check` says; the arguments are described there."""
    counts = {"steps": steps, "products": products, "directions": directions}
    steps, products, directions = (whole(value, name) for name, value in counts.items())
    x, y = _row(x, problem.x0, "x"), _row(y, problem.y0, "y")
    hidden = None if progress is None else not progress
    with torch.no_grad(), tqdm(desc="check", unit="gradient", disable=hidden, delay=0.5) as bar:
        look = _Look(problem, shared, steps, products, bar.update)
        impure = look.impure(x, y)
        end = look.solved(x, y)
        each = curvature(problem.g, look.rows(x), end.y, look.zeta, look.mean, products)
        low, high = float(each[0].min()), float(each[1].max())
        worst = end.slope.nan_to_num(math.inf).argmax()
        found = Report(
            x, end.y[0] if shared else end.y, end.steps,
            float(end.slope[worst]), float(end.goal[worst]), low, high,
            impure, _seconds(problem), predicted(method, problem), measured(method, problem),
        )  # fmt: skip
        if not (end.solved and found.convex):
            return found
        by_cg, stopped = look.by_cg(x, end.y)
        ways = look.directions(by_cg, directions)
        slopes, error = look.by_differences(x, end.y, ways, low)
        by_descent = look.by_descent(x, end.y, low, high)
        return replace(found, ways=Ways(by_cg, by_descent, ways, slopes, error, stopped))


class _Look:
    """A problem on all its data, at one x of all agents."""

    def __init__(
        self,
        problem: Problem,
        shared: bool,
        steps: int,
        products: int,
        tick: Callable[[], object],
    ) -> None:
        self.problem, self.shared, self.tick = problem, shared, tick
        self.steps, self.products = steps, products
        everyone = problem.everyone()
        self.xi, self.zeta = problem.upper.full(everyone), problem.lower.full(everyone)
        self.mean = partial(torch.mean, dim=0, keepdim=True) if shared else None
        self.eps = float(torch.finfo(problem.x0.dtype).eps)
        self.random = torch.Generator("cpu").manual_seed(0)

    def rows(self, row: Tensor) -> Tensor:
        """Return a point of all agents as a row each."""
        return row.expand(self.problem.agents, -1)

    def solved(self, x: Tensor, y: Tensor) -> Minimum:
        """Return the lower solution at x, sought from one y or from every agent's own."""
        rows = self.rows(x), self.rows(y) if y.ndim == 1 else y
        return minimise(self.problem.g, *rows, self.zeta, self.mean, self.steps, self.tick)

    def phi(self, x: Tensor, y: Tensor) -> float:
        """Return the mean upper loss."""
        return float(self.problem.f.value(self.rows(x), y, self.xi).double().mean())

    def impure(self, x: Tensor, y: Tensor) -> str:
        """Say what a loss does that its gradients do not know of, near a point."""
        x, y = (row + 0.1 * (1 + row.norm()) * self.way(row) for row in (x, y))
        levels = (("upper", self.problem.f, self.xi), ("lower", self.problem.g, self.zeta))
        for name, level, batch in levels:

            def value(x: Tensor, y: Tensor, level: Any = level, batch: Any = batch) -> float:
                return float(level.value(self.rows(x), self.rows(y), batch).double().mean())

            if (here := value(x, y)) != value(x, y):
                return (
                    f"the {name} loss differs from one evaluation to the next: it draws random "
                    "numbers; put them into the data, and take dropout out: .eval(), or p=0"
                )
            u_x, u_y = level.grad(self.rows(x), self.rows(y), batch)
            for variable, row, slope in (("x", x, u_x.mean(0)), ("y", y, u_y.mean(0))):
                h, way = self.eps ** (1 / 3) * (1 + float(row.norm())), self.way(row)
                ends = [
                    value(row + s * way, y) if variable == "x" else value(x, row + s * way)
                    for s in (h, -h)
                ]
                found, told = (ends[0] - ends[1]) / (2 * h), float(slope @ way)
                error = 8 * self.eps * abs(here) / h + self.eps**0.25 * max(abs(found), abs(told))
                if not abs(found - told) <= error:
                    return (
                        f"the {name} loss changes along {variable} by {found:.4g}, its gradient "
                        f"says {told:.4g}: a part is hidden from differentiation; leave detach, "
                        ".data, no_grad, round and numpy out"
                    )
        return ""

    def by_cg(self, x: Tensor, y: Tensor) -> tuple[Tensor, str]:
        """Return ∇Φ by conjugate gradients, of each agent's own level if it has one, and a word."""
        problem, everyone = self.problem, self.problem.everyone()
        groups = [everyone] if self.shared else [everyone[i : i + 1] for i in range(len(everyone))]
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = [
                cg(
                    problem.f, problem.g, x.expand(len(agents), -1), y[agents],
                    problem.upper.full(agents), problem.lower.full(agents),
                    self.products, self.eps**0.7,
                )
                for agents in groups
            ]  # fmt: skip
        return torch.stack(found).mean(0), str(said[0].message) if said else ""

    def by_descent(self, x: Tensor, y: Tensor, low: float, high: float) -> Tensor:
        """Return ∇Φ through as many steps as leave no more than rounding of the start."""
        low, high = 0.9 * low, 1.1 * high  # bounds from within
        rate = (high**0.5 - low**0.5) / (high**0.5 + low**0.5)
        enough = math.ceil(math.log(self.eps) / math.log(rate))
        return unrolled(
            self.problem.f, self.problem.g, x, y, self.xi, self.zeta, self.shared,
            (low, high), min(enough, self.steps),
        )  # fmt: skip

    def directions(self, first: Tensor, count: int) -> Tensor:
        """Return the direction of the hypergradient, if it has one, and random ones."""
        ways = [self.way(self.problem.x0) for _ in range(count)]
        if first.norm() > 0:
            ways[0] = first / first.norm()
        return torch.stack(ways)

    def way(self, like: Tensor) -> Tensor:
        """Return a random direction of length one."""
        found = torch.randn(len(like), generator=self.random, dtype=torch.float64, device="cpu")
        way: Tensor = (found / found.norm()).to(like)
        return way

    def by_differences(
        self, x: Tensor, y: Tensor, ways: Tensor, low: float
    ) -> tuple[Tensor, float]:
        """Return slopes of Φ along directions, and by how much rounding may make one wrong."""
        h = self.eps**0.25 * (1 + float(x.norm()))
        u_y = self.problem.f.grad(self.rows(x), y, self.xi)[1]
        steep = float(u_y.mean(0).norm() if self.shared else u_y.norm(dim=1).mean())
        slopes, error = list[float](), 0.0
        for way in ways:
            there, back = (self.solved(x + s * way, y) for s in (h, -h))
            more, less = self.phi(x + h * way, there.y), self.phi(x - h * way, back.y)
            slopes.append((more - less) / (2 * h))
            left = float(torch.maximum(there.slope, back.slope).max()) / low
            error = max(error, (4 * self.eps * abs(more) + steep * left) / h)
        return ways.new_tensor(slopes), error


def _seconds(problem: Problem) -> dict[str, float]:
    """Return the time of one derivative of each kind, of the batches of an iteration."""
    everyone, g = problem.everyone(), problem.g
    zeta = Draws(0, everyone, problem.upper, problem.lower).zeta(0)
    x, y = (row.expand(problem.agents, -1) for row in (problem.x0, problem.y0))
    kinds: dict[str, Callable[[], Any]] = {
        "gradient": lambda: g.grad(x, y, zeta),
        "Hessian product": lambda: g.hess(x, y, zeta, y),
        "Jacobian product": lambda: g.jac(x, y, zeta, y),
    }
    return {what: median(_took(work) for _ in range(5)) for what, work in kinds.items()}


def _took(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _row(given: Tensor | None, start: Tensor, name: str) -> Tensor:
    """Return a point as a row like the start, which it is by default."""
    row = start
    if given is not None:
        row = torch.as_tensor(given, dtype=start.dtype, device=start.device).detach()
    if row.shape != start.shape:
        raise ValueError(
            f"{name} must be a row of {len(start)} numbers, as {name}0 is, got {list(row.shape)}"
        )
    if not row.isfinite().all():
        raise ValueError(f"{name} holds NaN or infinity; give finite numbers")
    return row
