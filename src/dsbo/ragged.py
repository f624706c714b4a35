"""Everything that agents have who do not have the same number of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_map


class Lengths(tuple[int, ...]):
    """How many rows each agent has: numbers, which a compiled graph holds, and no tensor."""

    __slots__ = ()


class Ragged(NamedTuple):
    """A batch of some rows of each agent, more of one than of another.

    Parameters
    ----------
    filled : tree of Tensor
        ``[n, M, …]``, where M is the most rows; what is behind an agent's own is not looked at.
    rows : Lengths
        How many each agent has.
    """

    filled: Any
    rows: Lengths

    def mapped(self, loss: Callable[..., Tensor], *trees: Any) -> Tensor:
        """Return ``loss(*trees[i], own rows)`` of each agent, ``[n]``; as many rows, at once."""
        groups: dict[int, list[int]] = {}
        for i, m in enumerate(self.rows):
            groups.setdefault(m, []).append(i)
        found = []
        for m, agents in groups.items():
            own = [tree_map(lambda part, i=agents: part[i], tree) for tree in trees]
            batch = tree_map(lambda part, i=agents, m=m: part[i, :m], self.filled)
            found.append(vmap(loss)(*own, batch))
        order = np.argsort(np.concatenate(list(groups.values())))
        return torch.cat(found)[order.tolist()]
