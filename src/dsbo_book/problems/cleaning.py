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
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dsbo.problems import Problem


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
        return torch.from_numpy(rng.standard_normal((rows, columns)) / math.sqrt(rows))

    y = {
        "W1": weights(features, hidden),
        "b1": torch.zeros(hidden, dtype=torch.float64, device="cpu"),
        "W2": weights(hidden, classes),
        "b2": torch.zeros(classes, dtype=torch.float64, device="cpu"),
    }
    return {name: part.float() for name, part in y.items()}


def hyper_cleaning(
    train: tuple[Tensor, Tensor],
    clean: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    true: Tensor,
    classes: int,
    hidden: int = 300,
    ridge: float = 1e-3,
    batch: int = 50,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
) -> Problem:
    """Return the data hyper-cleaning problem on given samples.

    The upper variable has one entry for every training sample of every agent, in the order of
    ``train`` read row by row; it starts at zero, where every weight sigmoid(x_e) is ½.

    A trace records `accuracy` of ȳ as ``test_accuracy`` and `auc` of x̄.

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
    hidden : int
        Units of the hidden layer.
    ridge : float
        The C of C‖y‖².
    batch : int
        Samples that an agent draws for each level in an iteration.
    seed : int
        Seed of the network's initial weights, which all agents share.
    settings : dict, optional
        What a trace should say about where the samples came from.

    Raises
    ------
    ValueError, TypeError
        If a setting is out of range.
    """
    if not (math.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"ridge must be finite and not negative, got {ridge}")
    if hidden < 1:
        raise ValueError(f"hidden must be at least 1, got {hidden}")
    a, c = train
    sample = torch.arange(c.numel(), device=c.device).reshape(c.shape)
    problem = Problem.from_losses(
        _upper,
        _lower,
        x0=torch.zeros(c.numel(), dtype=torch.float32, device=a.device),
        y0=initial_network(a.shape[2], hidden, classes, seed),
        upper_data=list(zip(*clean, strict=True)),
        lower_data=list(zip(a, c, sample, strict=True)),
        batch=batch,
        ridge=ridge,
        metrics=_metrics,
    )
    told = {
        "name": "Cleaning",
        "agents": problem.agents,
        "train": c.numel(),
        "clean": clean[1].numel(),
        "hidden": hidden,
        "ridge": ridge,
        "batch": batch,
        "seed": seed,
        **(settings or {}),
    }
    unseen = {"test": test, "true": true, "corrupted": c != true}
    return replace(problem, settings=told, unseen=unseen)


def accuracy(problem: Problem, y: Tensor) -> float:
    """Return the share of test samples that the network with the row ``y [p]`` gets right."""
    a, c = problem.unseen["test"]
    return float((network(problem.unpack(y=y), a).argmax(1) == c).float().mean())


def auc(problem: Problem, x: Tensor) -> float:
    """Return how well ``x [d]`` tells corrupted labels.

    It is the area under the ROC curve of −x as their detector: the chance that a corrupted sample
    weighs less than a clean one.
    """
    from sklearn.metrics import roc_auc_score  # slower to import than dsbo itself

    corrupted = problem.unseen["corrupted"].reshape(-1).cpu().numpy()
    if corrupted.all() or not corrupted.any():
        return math.nan
    return float(roc_auc_score(corrupted, -x.cpu().numpy()))


def trusting(problem: Problem, clean: float, corrupted: float) -> Problem:
    """Return the problem with x0 fixed by who was really corrupted, for comparison only."""
    x0 = torch.where(problem.unseen["corrupted"].reshape(-1), corrupted, clean).to(problem.x0)
    return replace(problem, x0=x0, settings=problem.settings | {"x0": [clean, corrupted]})


def _metrics(problem: Problem, x: Tensor, y: Tensor, _: bool) -> dict[str, float]:
    return {"test_accuracy": accuracy(problem, y.mean(0)), "auc": auc(problem, x.mean(0))}


def _upper(_: Tensor, y: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
    a, c = batch
    return cross_entropy(network(y, a), c)


def _lower(x: Tensor, y: dict[str, Tensor], batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    a, c, e = batch
    return (torch.sigmoid(x[e]) * cross_entropy(network(y, a), c, reduction="none")).mean()
