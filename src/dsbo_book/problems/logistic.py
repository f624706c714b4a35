"""Logistic regression whose regulariser has one weight a feature, tuned on validation data.

    f_i(x, y) = mean over agent i's validation samples of  L(yᵀ a, c)  + R/2 ‖x‖²
    g_i(x, y) = mean over agent i's training samples of    L(yᵀ a, c)
                + 1/(qk) sum_r exp(x_r) ‖y_r‖²

Kong et al. 2025, Experiment 1, and Qiu et al. 2023, section VI.2, both with R = 0. Chapters
exp-logistic, exp-logistic-tuning, exp-a9a.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from dsbo.levels import Level, Pair, count_products
from dsbo.problems import Problem
from dsbo_book.problems.softmax import SoftmaxLower, accuracy, shards, softmax_loss


def logistic_regression(
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    classes: int = 2,
    batch: int | None = 50,
    x0: float = 0.0,
    upper_ridge: float = 0.0,
    settings: dict[str, Any] | None = None,
) -> Problem:
    """Return the hyper-parameter tuning of a linear classifier without a constant term.

    A trace records the terms of equation (11) and what the test samples say: ``test_accuracy`` and
    ``test_loss`` are means over the agents' own y_i; with a shared lower level those of ȳ.

    Parameters
    ----------
    train, validation : tuple of Tensor
        Features ``[N, m, k]`` and labels ``[N, m]``. Their dtype is the run's.
    test : tuple of Tensor
        Features ``[m, k]`` and labels ``[m]`` that no agent trains on.
    classes : int
        Number q of classes.
    batch : int or None
        Samples an agent draws of each kind; None takes all.
    x0 : float
        Start of every entry of x; 0 weighs each ‖y_r‖² with 1/(qk).
    upper_ridge : float
        R. Where a feature is best left alone its x_r would go to minus infinity; a positive R
        keeps the minimiser finite.
    settings : dict, optional
        What a trace should say about the data.

    Raises
    ------
    ValueError, TypeError
        If the samples do not fit together or a setting is out of range.
    """
    lower_data, upper_data = shards(train=train, validation=validation)
    a, _ = train
    problem = Problem.from_losses(
        partial(_upper, upper_ridge),
        _lower,
        x0=a.new_full((a.shape[2],), x0),
        y0=a.new_zeros(a.shape[2], classes),
        upper_data=upper_data,
        lower_data=lower_data,
        batch=batch,
        metrics=_metrics,
    )
    told = {
        "name": "Logistic",
        "agents": problem.agents,
        "train": a.shape[1],
        "validation": validation[0].shape[1],
        "classes": classes,
        "batch": batch,
        "x0": x0,
        "upper_ridge": upper_ridge,
        **(settings or {}),
    }
    lower = LogisticLower(classes)
    return replace(problem, g=lower, settings=told, exact=LOWER.solution, unseen={"test": test})


@dataclass(frozen=True)
class LogisticLower(Level):
    """The lower level in closed form.

    With s the classes' shares of the m samples a, and w_r = exp(x_r)/(qk),

        ∇₁ = w_r ‖y_r‖²              ∇₂ = aᵀ(s - c)/m + 2 w y
        ∇²₁₂ v = 2 w_r ⟨y_r, v_r⟩    ∇²₂₂ v = aᵀ(s (a v - ⟨s, a v⟩))/m + 2 w v .

    A product goes through the samples twice, as by automatic differentiation at a point, without
    what autograd does on its way.

    Parameters
    ----------
    classes : int
        Number q of classes.
    calls : Counter
        Where oracle calls are counted.
    """

    classes: int
    calls: Counter[str] = field(default_factory=Counter, compare=False, repr=False)

    def value(self, x: Tensor, y: Tensor, batch: Any) -> Tensor:
        """Return each agent's loss, ``[n]``."""
        return vmap(_lower)(x, self.heads(y), batch)

    def heads(self, rows: Tensor) -> Tensor:
        """Return rows ``[…, kq]`` as matrices ``[…, k, q]``."""
        return rows.reshape(*rows.shape[:-1], -1, self.classes)

    def at(self, x: Tensor, y: Tensor, batch: Any) -> LogisticPoint:
        """Return the level at a point."""
        return LogisticPoint(self, x, y, batch)

    def counted(self, calls: Counter[str]) -> LogisticLower:
        """Return the same level that adds its oracle calls to ``calls``."""
        return replace(self, calls=calls)


class LogisticPoint:
    """The classes' shares at a point; see `LogisticLower`."""

    def __init__(self, level: LogisticLower, x: Tensor, y: Tensor, batch: Any) -> None:
        self.level, (self.a, self.c) = level, batch
        self.y = level.heads(y)
        self.w = torch.exp(x)[..., None] / y.shape[1]
        self.shares = torch.softmax(self.a @ self.y, -1)

    def grad(self) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        self.level.calls["lower_grads"] += 1
        truth = self.c[..., None] == torch.arange(self.level.classes, device=self.c.device)
        missed = self.shares - truth.to(self.shares)
        g2 = self._back(missed) + 2 * self.w * self.y
        return (self.w * self.y * self.y).sum(-1), g2.flatten(-2)

    def both(self, v: Tensor) -> Pair:
        """Return ∇²₁₂ v ``[…, n, d]`` and ∇²₂₂ v ``[…, n, p]``."""
        return self.jac(v), self.hess(v)

    def jac(self, v: Tensor) -> Tensor:
        """Return ∇²₁₂ v ``[…, n, d]`` alone."""
        count_products(self.level.calls, v, "jvps")
        product: Tensor = 2 * (self.w * self.y * self.level.heads(v)).sum(-1)
        return product

    def hess(self, v: Tensor) -> Tensor:
        """Return ∇²₂₂ v ``[…, n, p]`` alone."""
        count_products(self.level.calls, v, "hvps")
        v = self.level.heads(v)
        moved = self.shares * (self.a @ v)
        moved = moved - self.shares * moved.sum(-1, keepdim=True)
        return (self._back(moved) + 2 * self.w * v).flatten(-2)

    def _back(self, moved: Tensor) -> Tensor:
        # Rows times a matrix: with few classes faster than the transposed matrix times columns.
        product: Tensor = (moved.mT @ self.a).mT / self.a.shape[1]
        return product


def _upper(ridge: float, x: Tensor, y: Tensor, batch: Any) -> Tensor:
    loss = softmax_loss(y, *batch)
    return loss + 0.5 * ridge * (x * x).sum() if ridge else loss


def _lower(x: Tensor, y: Tensor, batch: Any) -> Tensor:
    penalty: Tensor = (torch.exp(x) * (y * y).sum(1)).sum() / y.numel()
    return softmax_loss(y, *batch) + penalty


def _regression(problem: Problem, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, c = problem.lower.full(problem.everyone())
    return a, c, 2 * torch.exp(x) / problem.p


LOWER = SoftmaxLower(_regression)


def _metrics(problem: Problem, x: Tensor, y: Tensor, shared: bool) -> dict[str, float]:
    a, c = problem.unseen["test"]
    heads = problem.unpack(y=y.mean(0, keepdim=True) if shared else y)
    losses = [float(softmax_loss(head, a, c)) for head in heads]
    return {
        **LOWER.metrics(problem, x, y, shared),
        "test_accuracy": float(accuracy(heads, a, c).mean()),
        "test_loss": sum(losses) / len(losses),
    }
