"""Data hyper-cleaning: learn which training labels to trust.

Every training sample e has one upper variable x_e. The lower level trains a network on the
weighted samples, the upper level asks how well it does on clean data:

    f_i(x, y) = mean over agent i's clean samples of     L(network(a; y), c)
    g_i(x, y) = mean over agent i's training samples of  sigmoid(x_e) L(network(a_e; y), c_e)
                + C ‖y‖²

Kong et al. 2025, Experiment 2. Chapter exp-cleaning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dsbo.layout import flatten
from dsbo.levels import SecondOrder
from dsbo.problems.problem import Problem
from dsbo.problems.samplers import Minibatch


@dataclass(frozen=True, eq=False)
class Split:
    """Who holds which samples, and what their labels should be.

    Parameters
    ----------
    train, clean : tuple of Tensor
        Features ``[N, m, k]`` and labels ``[N, m]`` of the training and of the clean samples.
    test : tuple of Tensor
        Features ``[m, k]`` and labels ``[m]`` that no agent trains on.
    true : Tensor
        True labels ``[N, m]`` of the training samples; only metrics may look at them.
    classes : int
        Number of classes.
    """

    train: tuple[Tensor, Tensor]
    clean: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    true: Tensor
    classes: int

    @property
    def corrupted(self) -> Tensor:
        """Where a training label is wrong, ``[N, m]``."""
        return self.train[1] != self.true


def network(y: dict[str, Tensor], a: Tensor) -> Tensor:
    """Return the logits ``[b, classes]`` of a network with one hidden layer of ReLUs.

    The weights are stored as [in, out], so that the gradient of a layer comes out of its matrix
    product in the memory order in which the flat row keeps it.
    """
    return torch.relu(a @ y["W1"] + y["b1"]) @ y["W2"] + y["b2"]


def initial_network(features: int, hidden: int, classes: int, seed: int) -> dict[str, Tensor]:
    """Return weights of standard deviation fan_in^(−1/2) and zero biases."""
    rng = np.random.default_rng(seed)

    def weights(rows: int, columns: int) -> Tensor:
        return torch.as_tensor(rng.standard_normal((rows, columns)) / math.sqrt(rows))

    y = {
        "W1": weights(features, hidden),
        "b1": torch.zeros(hidden, dtype=torch.float64),
        "W2": weights(hidden, classes),
        "b2": torch.zeros(classes, dtype=torch.float64),
    }
    return {name: part.float() for name, part in y.items()}


def _upper(_: Tensor, y: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
    a, c = batch
    return cross_entropy(network(y, a), c)


def _lower(x: Tensor, y: dict[str, Tensor], batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    a, c, e = batch
    return (torch.sigmoid(x[e]) * cross_entropy(network(y, a), c, reduction="none")).mean()


class Cleaning(Problem):
    """The data hyper-cleaning problem on given samples.

    The upper variable has one entry for every training sample of every agent, in the order of
    ``split.train`` read row by row; it starts at zero, where every weight sigmoid(x_e) is ½.

    Parameters
    ----------
    split : Split
        The samples of every agent.
    hidden : int
        Units of the hidden layer.
    ridge : float
        The C of C‖y‖².
    batch : int
        Samples that an agent draws for each level in an iteration.
    seed : int
        Seed of the network's initial weights, which all agents share.
    settings : dict, optional
        What a trace should say about where the split came from.

    Raises
    ------
    ValueError, TypeError
        If a setting is out of range.
    """

    def __init__(
        self,
        split: Split,
        hidden: int = 300,
        ridge: float = 1e-3,
        batch: int = 50,
        seed: int = 0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        if not (math.isfinite(ridge) and ridge >= 0):
            raise ValueError(f"ridge must be finite and not negative, got {ridge}")
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        a, c = split.train
        N, m, features = a.shape
        x0, x_layout = flatten(torch.zeros(N * m), "x0")
        y0, y_layout = flatten(initial_network(features, hidden, split.classes, seed), "y0")
        sample = torch.arange(N * m).reshape(N, m)
        super().__init__(
            f=SecondOrder(_upper, x_layout, y_layout, "upper"),
            g=SecondOrder(_lower, x_layout, y_layout, "lower", ridge=ridge),
            x0=x0,
            y0=y0,
            agents=N,
            upper=Minibatch(split.clean, batch),
            lower=Minibatch((a, c, sample), batch),
            settings={
                "name": "Cleaning",
                "agents": N,
                "train": N * m,
                "clean": split.clean[0].shape[0] * split.clean[0].shape[1],
                "hidden": hidden,
                "ridge": ridge,
                "batch": batch,
                "seed": seed,
                **(settings or {}),
            },
        )
        object.__setattr__(self, "split", split)

    split: Split

    def metrics(self, x: Tensor, y: Tensor, shared: bool = True) -> dict[str, float]:
        """Return the upper loss and the test accuracy of ȳ, and how well x̄ tells bad labels.

        ``auc`` is the area under the ROC curve of −x̄ as a detector of corrupted labels: the chance
        that a corrupted sample weighs less than a clean one.
        """
        return {
            "upper_loss": self.upper_loss(x, y, shared),
            "test_accuracy": self.accuracy(y.mean(0)),
            "auc": self.auc(x.mean(0)),
        }

    def accuracy(self, y: Tensor) -> float:
        """Return the share of test samples that the network with the row ``y [p]`` gets right."""
        a, c = (part.to(y.device) for part in self.split.test)
        return float((network(self.unpack(y=y), a).argmax(1) == c).float().mean())

    def auc(self, x: Tensor) -> float:
        """Return the area under the ROC curve of −x ``[d]`` as a detector of corrupted labels."""
        from sklearn.metrics import roc_auc_score  # slower to import than dsbo itself

        corrupted = self.split.corrupted.reshape(-1).cpu().numpy()
        if corrupted.all() or not corrupted.any():
            return math.nan
        return float(roc_auc_score(corrupted, -x.cpu().numpy()))

    def trusting(self, clean: float, corrupted: float) -> Cleaning:
        """Return the problem with x0 fixed by who was really corrupted, for comparison only."""
        mask = self.split.corrupted.reshape(-1).to(self.x0.device)
        x0 = torch.where(mask, corrupted, clean).to(self.x0)
        return self._changed(x0=x0, settings=self.settings | {"x0": [clean, corrupted]})
