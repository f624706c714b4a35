"""What weights must satisfy, so that mixing keeps the average and brings agents together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = NDArray[np.float64]


def require_doubly_stochastic(W: Weights, tol: float) -> None:
    """Raise a ValueError if an entry is negative or a row or column does not sum to one."""
    if W.min() < -tol:
        i, j = np.unravel_index(W.argmin(), W.shape)
        raise ValueError(
            f"W[{i}, {j}] = {W.min():.6g} is negative; use mixing.metropolis or mixing.lazy"
        )
    for axis, name in ((1, "rows"), (0, "columns")):
        sums = W.sum(axis=axis)
        if np.abs(sums - 1).max() > tol:
            shown = np.array2string(sums, precision=6, threshold=8, edgeitems=3)
            raise ValueError(
                f"W is not doubly stochastic: {name} sum to {shown}; use mixing.metropolis"
            )


def require_connected(W: Weights, tol: float) -> None:
    """Raise a ValueError if some disagreement between agents would never fade."""
    import networkx as nx  # slower to import than all of dsbo

    support = np.abs(W) > tol
    G = nx.from_numpy_array(support, create_using=nx.DiGraph)
    if nx.is_strongly_connected(G):
        if not support.diagonal().any() and not nx.is_aperiodic(G):
            raise ValueError(
                "the graph of W is periodic: rows travel round and some disagreement never fades; "
                "use mixing.lazy(W), which keeps half"
            )
    else:
        parts = [sorted(part) for part in nx.strongly_connected_components(G)]
        raise ValueError(
            f"the graph of W falls into {len(parts)} parts, one of them {min(parts)[:8]}; "
            "use a connected graph (graphs.ring, graphs.erdos_renyi, …)"
        )
