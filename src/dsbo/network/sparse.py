"""All agents in one process, each row touched only by its neighbours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dsbo import mixing
from dsbo.network.base import Network


class Sparse(Network):
    """W as a sparse matrix: cost in proportion to the links, for many agents on a sparse graph.

    >>> from dsbo import graphs, mixing
    >>> Sparse(mixing.metropolis(graphs.ring(1000))).links
    2000
    """

    def weights(self, like: Tensor) -> Callable[[int], Tensor]:
        """Return the non-zero weights with the dtype and device of ``like``, for every round."""
        weights = mixing.rounded(self.W, like.dtype)
        where = np.stack(np.nonzero(weights))
        W = torch.sparse_coo_tensor(
            torch.from_numpy(where),
            torch.from_numpy(weights[tuple(where)]),
            weights.shape,
            dtype=like.dtype,
            device=like.device,
            check_invariants=True,
        ).coalesce()
        return lambda _: W
