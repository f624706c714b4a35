"""Meta-learning: one representation for all agents, a classifier of its own for each.

x holds the two hidden layers of a network, y_i the weights of agent i's last layer, which sees
the second layer's outputs and a constant one:

    f_i(x, y_i) = mean over agent i's query samples of    L(y_iᵀ h(a; x), c)
    g_i(x, y_i) = mean over agent i's support samples of  L(y_iᵀ h(a; x), c) + s/2 ‖y_i‖²

Qiu et al. 2023, section VI.1, with s = 1. Chapter exp-meta.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from dsbo.layout import flatten
from dsbo.levels import SecondOrder
from dsbo.problems.samplers import Minibatch
from dsbo_book.problems.softmax import SoftmaxLower, accuracy, softmax_loss


def representation(x: dict[str, Tensor], a: Tensor) -> Tensor:
    """Return h(a; x) ``[..., m, hidden + 1]`` of features ``a [..., m, k]``; the last entry is 1.

    The layers end in tanh, because the theory wants second derivatives that are Lipschitz.
    """
    h = torch.tanh(a @ x["W1"] + x["b1"][..., None, :])
    h = torch.tanh(h @ x["W2"] + x["b2"][..., None, :])
    return torch.cat([h, torch.ones_like(h[..., :1])], dim=-1)


def _upper(x: dict[str, Tensor], y: Tensor, batch: Any) -> Tensor:
    a, c = batch
    return softmax_loss(y, representation(x, a), c)


class Meta(SoftmaxLower):
    """Meta-learning with a two-layer representation.

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
    """

    def __init__(
        self,
        support: tuple[Tensor, Tensor],
        query: tuple[Tensor, Tensor],
        classes: int,
        hidden: int = 20,
        strength: float = 1.0,
        batch: int | None = 32,
        seed: int = 0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        if not strength > 0:
            raise ValueError(f"strength must be positive, or g has no minimiser, got {strength}")
        agents, _, k = support[0].shape
        if query[0].shape[0] != agents or query[0].shape[2] != k:
            raise ValueError(
                f"support has {agents} agents with {k} features, query "
                f"{query[0].shape[0]} with {query[0].shape[2]}; they must agree"
            )
        x0, x_layout = flatten(initial_representation(k, hidden, seed, support[0].dtype), "x0")
        y0, y_layout = flatten(support[0].new_zeros(hidden + 1, classes), "y0")
        super().__init__(
            f=SecondOrder(_upper, x_layout, y_layout, "upper"),
            g=SecondOrder(_upper, x_layout, y_layout, "lower", ridge=strength / 2),
            x0=x0,
            y0=y0,
            agents=agents,
            upper=Minibatch(query, batch),
            lower=Minibatch(support, batch),
            settings={
                "name": "Meta",
                "agents": agents,
                "support": support[0].shape[1],
                "query": query[0].shape[1],
                "classes": classes,
                "hidden": hidden,
                "strength": strength,
                "batch": batch,
                "seed": seed,
                **(settings or {}),
            },
        )
        object.__setattr__(self, "strength", strength)

    strength: float

    def regression(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the lower level at ``x [N, d]`` as a softmax regression."""
        a, c = self.lower.full(self.everyone())
        h = representation(self._layers(x), a)
        return h, c, h.new_full((len(x), h.shape[-1]), self.strength)

    def metrics(self, x: Tensor, y: Tensor, shared: bool = False) -> dict[str, float]:
        """Return the terms of equation (11) and the agents' mean accuracy on their queries."""
        a, c = self.upper.full(self.everyone())
        xbar = x.mean(0).expand_as(x)
        heads = y.reshape(len(y), -1, self.settings["classes"])
        right = accuracy(heads, representation(self._layers(xbar), a), c)
        return {**super().metrics(x, y, shared), "accuracy": float(right.mean())}

    def _layers(self, x: Tensor) -> dict[str, Tensor]:
        layers: dict[str, Tensor] = self.unpack(x=x)
        return layers


def initial_representation(
    k: int, hidden: int, seed: int, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Return layers drawn with variance 1 / inputs, and biases of zero."""
    g = torch.Generator().manual_seed(seed)

    def layer(inputs: int) -> Tensor:
        return torch.randn(inputs, hidden, generator=g, dtype=dtype) / math.sqrt(inputs)

    zero = torch.zeros(hidden, dtype=dtype)
    return {"W1": layer(k), "b1": zero, "W2": layer(hidden), "b2": zero.clone()}
