"""Deal a data set out to agents unevenly, and spoil some of its labels."""

from __future__ import annotations

from numbers import Integral
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

__all__ = ["corrupt", "dirichlet"]

Index = NDArray[np.int64]


def dirichlet(labels: ArrayLike | Tensor, agents: int, concentration: float, seed: int) -> Index:
    """Let each agent draw its own class shares from a Dirichlet distribution.

    An agent wants its m samples in the shares it drew. Agents are served one after another; where
    a class has run out, the rest of the wish is drawn again among the classes that are left. All
    get as many samples, none of them twice; the fewer than ``agents`` left over go to nobody.

    Parameters
    ----------
    labels : array_like or torch.Tensor, [n]
        Integer labels.
    agents : int
        Number of agents, 1 <= agents <= n.
    seed : int
        Of all draws.
    concentration : float
        Positive; 0.1 gives agents one or two classes each, 100 nearly equal shares.

    Returns
    -------
    ndarray, int64, [agents, n // agents]
        Sample numbers, a row an agent.

    Raises
    ------
    ValueError
        If labels are not a line of integers, agents is out of range, or the concentration is not
        positive.

    Examples
    --------
    >>> shards = dirichlet([0, 1, 2, 0, 1, 2], agents=2, concentration=0.1, seed=0)
    >>> sorted(shards.ravel().tolist())
    [0, 1, 2, 3, 4, 5]
    """
    line = _line(labels, agents)
    if not 0 < concentration < float("inf"):
        raise ValueError(f"concentration = {concentration} is not positive; give 0.1 or 1")
    rng = np.random.default_rng(seed)
    names = np.unique(line)
    pools = [rng.permutation(np.flatnonzero(line == name)) for name in names]
    shards = np.empty((agents, len(line) // agents), dtype=np.int64)
    for shard in shards:
        shares = rng.dirichlet(np.full(len(names), float(concentration)))
        counts = _serve(shares, np.array([len(pool) for pool in pools]), len(shard), rng)
        mine = [pool[:count] for pool, count in zip(pools, counts, strict=True)]
        pools = [pool[count:] for pool, count in zip(pools, counts, strict=True)]
        shard[:] = rng.permutation(np.concatenate(mine))
    return shards


@overload
def corrupt(labels: Tensor, rate: float, classes: int, seed: int) -> tuple[Tensor, Tensor]: ...
@overload
def corrupt(
    labels: ArrayLike, rate: float, classes: int, seed: int
) -> tuple[Index, NDArray[np.bool_]]: ...
def corrupt(labels: Any, rate: float, classes: int, seed: int) -> tuple[Any, Any]:
    """Replace exactly ``round(rate * n)`` labels by another class, each other class equally likely.

    Parameters
    ----------
    labels : array_like or torch.Tensor, [n]
        Labels 0, …, classes - 1; not modified.
    rate : float
        Share of labels to spoil, 0 <= rate <= 1.
    classes : int
        Number of classes, at least 2.
    seed : int
        Of the choice.

    Returns
    -------
    labels : ndarray or torch.Tensor, int64, [n]
        Tensors for a tensor.
    spoiled : ndarray or torch.Tensor, bool, [n]
        True where the label is wrong now.

    Raises
    ------
    ValueError
        If the rate, the number of classes or a label is out of range.

    Examples
    --------
    >>> corrupt([0, 1, 0, 1], rate=0.5, classes=2, seed=0)[1].sum()
    np.int64(2)
    """
    line = _line(labels, 1)
    if not 0 <= rate <= 1:
        raise ValueError(f"rate = {rate} is not in [0, 1]; give the share of labels to spoil")
    if not isinstance(classes, Integral) or classes < 2:
        raise ValueError(f"classes = {classes!r} is not an integer >= 2; there is no other class")
    if line.min() < 0 or line.max() >= classes:
        raise ValueError(f"labels run from {line.min()} to {line.max()}, not 0 to {classes - 1}")
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(line), size=round(rate * len(line)), replace=False)
    spoiled = np.zeros(len(line), dtype=bool)
    spoiled[chosen] = True
    new = line.copy()
    new[chosen] = (line[chosen] + rng.integers(1, classes, size=len(chosen))) % classes
    if isinstance(labels, Tensor):
        device = labels.device
        return torch.from_numpy(new).to(device), torch.from_numpy(spoiled).to(device)
    return new, spoiled


def _serve(
    shares: NDArray[np.float64], left: NDArray[np.int64], m: int, rng: np.random.Generator
) -> Index:
    """Return how many samples of each class fill a shard of m, no more than are left."""
    counts = np.zeros(len(left), dtype=np.int64)
    while (missing := m - int(counts.sum())) > 0:
        room = left - counts
        wish = shares * (room > 0)
        wish = room.astype(float) if wish.sum() <= 0 else wish
        counts += np.minimum(rng.multinomial(missing, wish / wish.sum()), room)
    return counts


def _line(labels: ArrayLike | Tensor, agents: int) -> Index:
    line = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if line.ndim != 1 or line.dtype.kind not in "iu":
        raise ValueError(f"labels are {line.dtype} {line.shape}; give integers [n]")
    if not isinstance(agents, Integral) or not 1 <= agents <= len(line):
        raise ValueError(f"agents = {agents!r}; give an integer from 1 to the {len(line)} samples")
    return line.astype(np.int64)
