"""How much agent i listens to agent j: weights W from a graph.

    (W x)_i = sum_j W[i, j] x_j

Every function returns a float64 array ``[N, N]`` with non-negative entries whose rows and columns
sum to one, so that mixing keeps the average; `row` and `column`, for `PushPull`, have one of both.
How fast mixing brings agents together is ``rho(W)``: ``‖W x - x̄‖ <= rho ‖x - x̄‖``.
Derived in book/mixing.md.

>>> from dsbo import graphs
>>> rho(metropolis(graphs.complete(4)))
0.0
>>> round(rho(uniform(graphs.ring(6), self_weight=0.5)), 12)
0.75
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsbo.checked import real, whole
from dsbo.spectra import lambda_min, perron, rho, square
from dsbo.stochastic import check, rounded

if TYPE_CHECKING:
    import networkx as nx
    import torch
    from numpy.typing import ArrayLike, NDArray

    Weights = NDArray[np.float64]

__all__ = [
    "average",
    "check",
    "column",
    "lambda_min",
    "laplacian",
    "lazy",
    "metropolis",
    "perron",
    "rho",
    "rounded",
    "row",
    "uniform",
]


def metropolis(G: nx.Graph[int]) -> Weights:
    """Return the weights ``1 / (1 + max(d_i, d_j))`` on edges, the rest on the diagonal.

    They fit every connected undirected graph, and agents need only the degrees of their
    neighbours. Degrees are those of the simple graph: a double edge counts once.

    Parameters
    ----------
    G : networkx.Graph
        Undirected graph on the agents 0, …, N-1.

    Returns
    -------
    ndarray, float64, [N, N]
        Symmetric and doubly stochastic.

    Raises
    ------
    ValueError
        If the graph is directed, empty, has self-loops or other labels than 0, …, N-1.

    Examples
    --------
    >>> from dsbo import graphs
    >>> metropolis(graphs.path(3)).round(3)
    array([[0.667, 0.333, 0.   ],
           [0.333, 0.333, 0.333],
           [0.   , 0.333, 0.667]])
    """
    A = _adjacency(_undirected(G), multiplicity=False)
    degree = A.sum(axis=1)
    return _fill_diagonal(A / (1 + np.maximum(degree[:, None], degree[None, :])))


def laplacian(G: nx.Graph[int]) -> Weights:
    """Return ``I - 2 V / (3 rho_max(V))`` with V the Laplacian of the simple graph.

    All eigenvalues lie in [1/3, 1], whatever the graph is, and so rho is at least 1/3 for N > 1.
    Qiu et al. 2023 (DIAMOND), section on experiments.

    Parameters
    ----------
    G : networkx.Graph
        Undirected graph on the agents 0, …, N-1.

    Returns
    -------
    ndarray, float64, [N, N]
        Symmetric and doubly stochastic.

    Raises
    ------
    ValueError
        As for `metropolis`.

    Examples
    --------
    >>> from dsbo import graphs
    >>> round(rho(laplacian(graphs.complete(5))), 12)
    0.333333333333
    """
    A = _adjacency(_undirected(G), multiplicity=False)
    V = np.diag(A.sum(axis=1)) - A
    top = float(np.linalg.eigvalsh(V)[-1])
    return np.eye(len(A)) if top <= 0 else _fill_diagonal(2 * A / (3 * top))


def uniform(G: nx.Graph[int], self_weight: float | None = None) -> Weights:
    """Share equally over a closed neighbourhood: for regular graphs, also directed ones.

    Edges count as often as their ``weight`` says, so a 2 × b torus has four shares to others.

    Parameters
    ----------
    G : networkx.Graph or networkx.DiGraph
        Regular graph: each agent sends and receives on the same number of edges.
    self_weight : float, optional
        Share an agent keeps, 0 <= a < 1; its neighbours share the other 1 - a (on a ring: the
        *adjusted ring*). By default an agent's own share equals that of one edge.

    Returns
    -------
    ndarray, float64, [N, N]
        Doubly stochastic; symmetric if G is undirected.

    Raises
    ------
    ValueError
        If the graph is not regular, or self_weight is not in [0, 1).

    Examples
    --------
    >>> from dsbo import graphs
    >>> uniform(graphs.ring(4), self_weight=0.5)
    array([[0.5 , 0.25, 0.  , 0.25],
           [0.25, 0.5 , 0.25, 0.  ],
           [0.  , 0.25, 0.5 , 0.25],
           [0.25, 0.  , 0.25, 0.5 ]])
    """
    A = _adjacency(G, multiplicity=True)
    degree = A.sum(axis=1)
    if np.any(degree != degree[0]) or np.any(A.sum(axis=0) != degree[0]):
        shown = np.array2string(degree.astype(int), threshold=8, edgeitems=3)
        raise ValueError(f"the graph is not regular: degrees {shown}; use mixing.metropolis")
    if self_weight is not None and not 0 <= real(self_weight, "self_weight") < 1:
        raise ValueError(f"self_weight = {self_weight} is not in [0, 1); give the share kept")
    if degree[0] == 0:
        return np.eye(len(A))
    own = 1 / (1 + degree[0]) if self_weight is None else float(self_weight)
    W: Weights = own * np.eye(len(A)) + (1 - own) / degree[0] * A
    return W


def lazy(W: ArrayLike | torch.Tensor) -> Weights:
    """Return ``(I + W) / 2``: no eigenvalue is negative any more, at the price of a larger rho."""
    W = square(W)
    out: Weights = (np.eye(len(W)) + W) / 2
    return out


def average(N: int) -> Weights:
    """Return ``11ᵀ / N``: one round gives every agent the mean, as a server would."""
    N = whole(N, "N")
    return np.full((N, N), 1 / N)


def row(G: nx.Graph[int]) -> Weights:
    """Return weights of a directed graph that any agent can choose: equal shares of what arrives.

    Parameters
    ----------
    G : networkx.DiGraph
        An edge (j, i) carries messages from j to i. An undirected graph counts in both directions.

    Returns
    -------
    ndarray, float64, [N, N]
        Rows sum to one: ``1 / (1 + in-degree)`` on edges and on the diagonal.

    Raises
    ------
    ValueError
        As for `metropolis`, but for directed graphs.

    Examples
    --------
    >>> import networkx as nx
    >>> row(nx.DiGraph([(0, 1), (1, 0), (1, 2), (2, 0)])).round(3)
    array([[0.333, 0.333, 0.333],
           [0.5  , 0.5  , 0.   ],
           [0.   , 0.5  , 0.5  ]])
    """
    shares = _adjacency(G, multiplicity=False) + np.eye(G.number_of_nodes())
    W: Weights = shares / shares.sum(axis=1, keepdims=True)
    return W


def column(G: nx.Graph[int]) -> Weights:
    """Return weights of a directed graph in which an agent splits what it sends into equal shares.

    An agent must know how many listen to it. See `row` for the parameter and errors.

    Returns
    -------
    ndarray, float64, [N, N]
        Columns sum to one: ``1 / (1 + out-degree)`` on edges and on the diagonal.

    Examples
    --------
    >>> import networkx as nx
    >>> column(nx.DiGraph([(0, 1), (1, 0), (1, 2), (2, 0)])).round(3)
    array([[0.5  , 0.333, 0.5  ],
           [0.5  , 0.333, 0.   ],
           [0.   , 0.333, 0.5  ]])
    """
    shares = _adjacency(G, multiplicity=False) + np.eye(G.number_of_nodes())
    W: Weights = shares / shares.sum(axis=0)
    return W


def _undirected(G: nx.Graph[int]) -> nx.Graph[int]:
    if G.is_directed():
        raise ValueError("the graph is directed; use mixing.uniform, or G.to_undirected() first")
    return G


def _adjacency(G: nx.Graph[int], multiplicity: bool) -> Weights:
    """Return A with A[i, j] = how many edges carry messages from j to i."""
    import networkx as nx  # which has made G

    N = G.number_of_nodes()
    if N == 0 or set(G) != set(range(N)):
        raise ValueError(
            f"the graph's agents are {list(G)[:8]}, not 0, …, N-1; "
            "use networkx.convert_node_labels_to_integers"
        )
    if nx.number_of_selfloops(G):
        raise ValueError(
            "the graph has self-loops; remove them with "
            "G.remove_edges_from(networkx.selfloop_edges(G)), own shares belong to the weights"
        )
    for i, j, weight in G.edges(data="weight", default=1):
        if not 0 < weight < np.inf:
            raise ValueError(
                f"the edge ({i}, {j}) has weight {weight}; remove it, or give it a positive weight"
            )
    A = nx.to_numpy_array(G, nodelist=range(N)).T
    return np.ascontiguousarray(A if multiplicity else A > 0, dtype=np.float64)


def _fill_diagonal(W: Weights) -> Weights:
    return W + np.diag(1 - W.sum(axis=1))
