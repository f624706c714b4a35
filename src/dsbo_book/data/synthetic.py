"""Samples made by rule, so that their heterogeneity is a number one can set."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["classification"]


def classification(
    agents: int,
    samples: int,
    features: int,
    useful: int,
    classes: int,
    heterogeneity: float,
    flips: float = 0.1,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Draw a linear classification task for every agent, all of them variations of one.

        a_k ~ N(0, k^(-1/2))        label ~ softmax(aᵀ(Y + heterogeneity · E_i))

    Y and the agents' own E_i are standard normal in the first ``useful`` features and zero in the
    others, which are noise to a classifier. A flipped label is drawn anew among all classes.

    Parameters
    ----------
    agents, samples : int
        Number of agents, and of samples for each.
    features, useful, classes : int
        Number of features, how many of them matter, and of classes.
    heterogeneity : float
        How much the agents' rules differ, in units of what they share; 0 for one rule.
    flips : float
        Share of labels that are flipped.
    seed : int
        Of all that is drawn. A longer draw does not begin like a shorter one.

    Returns
    -------
    Tensor, Tensor
        Features ``[agents, samples, features]`` in double precision and labels
        ``[agents, samples]``.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> a, c = classification(3, 5, features=4, useful=2, classes=2, heterogeneity=0.5)
    >>> a.shape, c.shape
    (torch.Size([3, 5, 4]), torch.Size([3, 5]))
    """
    if not 1 <= useful <= features:
        raise ValueError(f"useful must be in 1, …, {features} (features), got {useful}")
    if not heterogeneity >= 0 or not 0 <= flips <= 1:
        raise ValueError(
            f"need heterogeneity >= 0 and flips in [0, 1], got {heterogeneity} and {flips}"
        )
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((useful, classes))
    own = rng.standard_normal((agents, useful, classes))
    deviation = np.arange(1, features + 1) ** -0.25
    a = rng.standard_normal((agents, samples, features)) * deviation[rng.permutation(features)]
    logits = a[..., :useful] @ (shared + heterogeneity * own)
    # The largest of the logits plus Gumbel noise is a draw from their softmax.
    c = (logits + rng.gumbel(size=logits.shape)).argmax(-1)
    anew = rng.random(c.shape) < flips
    c = np.where(anew, rng.integers(classes, size=c.shape), c)
    return torch.from_numpy(a), torch.from_numpy(c)
