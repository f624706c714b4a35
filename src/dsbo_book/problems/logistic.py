"""Logistic regression whose regulariser has one weight a feature, tuned on validation data.

    f_i(x, y) = mean over agent i's validation samples of  L(yᵀ a, c)  + R/2 ‖x‖²
    g_i(x, y) = mean over agent i's training samples of    L(yᵀ a, c)
                + 1/(qk) sum_r exp(x_r) ‖y_r‖²

Kong et al. 2025, Experiment 1, and Qiu et al. 2023, section VI.2, both with R = 0. Chapters
exp-logistic, exp-a9a.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from dsbo.layout import flatten
from dsbo.levels import SecondOrder
from dsbo.problems.samplers import Minibatch
from dsbo_book.problems.softmax import SoftmaxLower, accuracy, softmax_loss


def _upper(x: Tensor, y: Tensor, batch: Any) -> Tensor:  # noqa: ARG001
    return softmax_loss(y, *batch)


def _held(ridge: float, x: Tensor, y: Tensor, batch: Any) -> Tensor:
    return softmax_loss(y, *batch) + 0.5 * ridge * (x * x).sum()


def _lower(x: Tensor, y: Tensor, batch: Any) -> Tensor:
    penalty: Tensor = (torch.exp(x) * (y * y).sum(1)).sum() / y.numel()
    return softmax_loss(y, *batch) + penalty


class Logistic(SoftmaxLower):
    """Hyper-parameter tuning of a linear classifier without a constant term.

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
    """

    def __init__(
        self,
        train: tuple[Tensor, Tensor],
        validation: tuple[Tensor, Tensor],
        test: tuple[Tensor, Tensor],
        classes: int = 2,
        batch: int | None = 50,
        x0: float = 0.0,
        upper_ridge: float = 0.0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        agents, _, k = train[0].shape
        if validation[0].shape[0] != agents or validation[0].shape[2] != k:
            raise ValueError(
                f"train has {agents} agents with {k} features, validation "
                f"{validation[0].shape[0]} with {validation[0].shape[2]}; they must agree"
            )
        start, x_layout = flatten(train[0].new_full((k,), x0), "x0")
        y0, y_layout = flatten(train[0].new_zeros(k, classes), "y0")
        upper = partial(_held, upper_ridge) if upper_ridge else _upper
        super().__init__(
            f=SecondOrder(upper, x_layout, y_layout, "upper"),
            g=SecondOrder(_lower, x_layout, y_layout, "lower"),
            x0=start,
            y0=y0,
            agents=agents,
            upper=Minibatch(validation, batch),
            lower=Minibatch(train, batch),
            settings={
                "name": "Logistic",
                "agents": agents,
                "train": train[0].shape[1],
                "validation": validation[0].shape[1],
                "classes": classes,
                "batch": batch,
                "x0": x0,
                "upper_ridge": upper_ridge,
                **(settings or {}),
            },
        )
        object.__setattr__(self, "test", test)

    test: tuple[Tensor, Tensor]

    def regression(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the lower level at ``x [N, d]`` as a softmax regression."""
        a, c = self.lower.full(self.everyone())
        return a, c, 2 * torch.exp(x) / self.p

    def metrics(self, x: Tensor, y: Tensor, shared: bool = True) -> dict[str, float]:
        """Return the terms of equation (11) and what the test samples say.

        ``test_accuracy`` and ``test_loss`` are means over the agents' own y_i; with a shared lower
        level those of ȳ.
        """
        a, c = (part.to(y.device) for part in self.test)
        rows = y.mean(0, keepdim=True) if shared else y
        heads = rows.reshape(len(rows), -1, self.settings["classes"])
        losses = [float(softmax_loss(head, a, c)) for head in heads]
        return {
            **super().metrics(x, y, shared),
            "test_accuracy": float(accuracy(heads, a, c).mean()),
            "test_loss": sum(losses) / len(losses),
        }
