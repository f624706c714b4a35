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
        # Agents meet who share somebody they listen to; with own shares neighbours do.
        meet = G if support.diagonal().all() else nx.from_numpy_array(_meetings(support))
        if not nx.is_connected(meet.to_undirected()):
            raise ValueError(
                "rho of W is 1, some disagreement never fades: a round only passes rows on; use "
                "mixing.lazy(W), which keeps half"
            )
    else:
        parts = [sorted(part) for part in nx.strongly_connected_components(G)]
        raise ValueError(
            f"the graph of W falls into {len(parts)} parts, one of them {min(parts)[:8]}; "
            "use a connected graph (graphs.ring, graphs.erdos_renyi, …)"
        )


def _meetings(support: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return who is listened to by an agent that also listens to whom: the pattern of WᵀW."""
    return support.T.astype(np.float32) @ support.astype(np.float32) > 0
