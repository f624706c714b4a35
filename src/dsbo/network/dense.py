"""All agents in one process, mixed by one matrix product."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dsbo import mixing
from dsbo.network.base import Network


class Dense(Network):
    """W as a matrix: the fastest transport up to a few hundred agents.

    >>> from dsbo import graphs, mixing
    >>> Dense(mixing.metropolis(graphs.ring(6))).links
    12
    """

    def weights(self, like: Tensor) -> Callable[[int], Tensor]:
        """Return W with the dtype and device of ``like``, for every round."""
        W = torch.as_tensor(
            mixing.rounded(self.W, like.dtype), dtype=like.dtype, device=like.device
        )
        return lambda _: W
