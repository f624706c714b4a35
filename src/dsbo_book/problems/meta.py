"""Meta-learning: one representation for all agents, a classifier of its own for each.

x holds the two hidden layers of a network, y_i the weights of agent i's last layer, which sees
the second layer's outputs and a constant one:

    f_i(x, y_i) = mean over agent i's query samples of    L(y_iᵀ h(a; x), c)
    g_i(x, y_i) = mean over agent i's support samples of  L(y_iᵀ h(a; x), c) + s/2 ‖y_i‖²

Qiu et al. 2023, section VI.1, with s = 1. Chapter exp-meta.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dsbo.problems import Problem
from dsbo_book.problems.softmax import SoftmaxLower, accuracy, shards, softmax_loss


def meta_learning(
    support: tuple[Tensor, Tensor],
    query: tuple[Tensor, Tensor],
    classes: int,
    hidden: int = 20,
    strength: float = 1.0,
    batch: int | None = 32,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
) -> Problem:
    """Return meta-learning with a two-layer representation.

    A trace records the terms of equation (11) and ``accuracy``, the agents' mean accuracy on their
    queries.

    Parameters
    ----------
    support, query : tuple of Tensor
        Features ``[N, m, k]`` and labels ``[N, m]``. Their dtype is the run's.
    classes : int
        Number of classes.
    hidden : int
        Width of both hidden layers.
    strength : float
        s, the weight of ½‖y_i‖², positive.
    batch : int or None
        Samples an agent draws of each kind; None takes all.
    seed : int
        Of the initial representation, the same for every agent. The classifiers start at zero.
    settings : dict, optional
        What a trace should say about the data.

    Raises
    ------
    ValueError, TypeError
        If the samples do not fit together or a setting is out of range.
    """
    if not strength > 0:
        raise ValueError(f"strength must be positive, or g has no minimiser, got {strength}")
    lower_data, upper_data = shards(support=support, query=query)
    a, _ = support
    lower = SoftmaxLower(partial(_regression, strength))
    problem = Problem.from_losses(
        _loss,
        _loss,
        x0=initial_representation(a.shape[2], hidden, seed, a.dtype),
        y0=a.new_zeros(hidden + 1, classes),
        upper_data=upper_data,
        lower_data=lower_data,
        batch=batch,
        ridge=strength / 2,
        metrics=partial(_metrics, lower),
    )
    told = {
        "name": "Meta",
        "agents": problem.agents,
        "support": a.shape[1],
        "query": query[0].shape[1],
        "classes": classes,
        "hidden": hidden,
        "strength": strength,
        "batch": batch,
        "seed": seed,
        **(settings or {}),
    }
    return replace(problem, settings=told, exact=lower.solution)


def representation(x: dict[str, Tensor], a: Tensor) -> Tensor:
    """Return h(a; x) ``[..., m, hidden + 1]`` of features ``a [..., m, k]``; the last entry is 1.

    The layers end in tanh, because the theory wants second derivatives that are Lipschitz.
    """
    h = torch.tanh(a @ x["W1"] + x["b1"][..., None, :])
    h = torch.tanh(h @ x["W2"] + x["b2"][..., None, :])
    return torch.cat([h, torch.ones_like(h[..., :1])], dim=-1)


def initial_representation(
    k: int, hidden: int, seed: int, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Return layers drawn with variance 1 / inputs, and biases of zero."""
    g = torch.Generator("cpu").manual_seed(seed)

    def layer(inputs: int) -> Tensor:
        drawn = torch.randn(inputs, hidden, generator=g, dtype=dtype, device="cpu")
        return drawn / math.sqrt(inputs)

    zero = torch.zeros(hidden, dtype=dtype, device="cpu")
    return {"W1": layer(k), "b1": zero, "W2": layer(hidden), "b2": zero.clone()}


def _loss(x: dict[str, Tensor], y: Tensor, batch: Any) -> Tensor:
    a, c = batch
    return softmax_loss(y, representation(x, a), c)


def _regression(strength: float, problem: Problem, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, c = problem.lower.full(problem.everyone())
    h = representation(problem.unpack(x=x), a)
    return h, c, h.new_full((len(x), h.shape[-1]), strength)


def _metrics(
    lower: SoftmaxLower, problem: Problem, x: Tensor, y: Tensor, shared: bool
) -> dict[str, float]:
    a, c = problem.upper.full(problem.everyone())
    h = representation(problem.unpack(x=x.mean(0).expand_as(x)), a)
    right = accuracy(problem.unpack(y=y), h, c)
    return {**lower.metrics(problem, x, y, shared), "accuracy": float(right.mean())}
