"""Who talks to whom: networkx graphs on the agents 0, …, N-1.

A graph says which agents exchange messages; :mod:`dsbo.mixing` turns it into weights. In a
directed graph an edge ``(j, i)`` carries messages from agent ``j`` to agent ``i``. An edge that
stands for two links (the wrap-around of a side of length 2) has the attribute ``weight=2``; every
other edge is plain.

>>> sorted(ring(4).edges)
[(0, 1), (0, 3), (1, 2), (2, 3)]
>>> torus(2, 3).edges[0, 3]
{'weight': 2}
"""

from __future__ import annotations

import networkx as nx

from dsbo.checked import real, whole

__all__ = [
    "complete",
    "erdos_renyi",
    "exponential",
    "hypercube",
    "path",
    "ring",
    "star",
    "torus",
]

TRIES = 10_000


def ring(N: int) -> nx.Graph[int]:
    """Return N agents in a circle, each next to two others.

    The *adjusted ring* of the literature is this graph with other weights:
    ``mixing.uniform(ring(N), self_weight=a)`` keeps the share ``a`` and gives ``(1 - a) / 2`` to
    either side, so that ``a`` sets rho. With ``N = 2`` both sides are the same agent and the edge
    has ``weight=2``.

    Parameters
    ----------
    N : int
        Number of agents, at least 1.

    Returns
    -------
    networkx.Graph
        Degree 2 everywhere once N > 2.

    Examples
    --------
    >>> ring(5).degree[0]
    2
    """
    N = whole(N, "N", 1)
    G = nx.empty_graph(1) if N == 1 else nx.cycle_graph(N)
    if N == 2:
        G.edges[0, 1]["weight"] = 2
    return _named(G, f"ring({N})")


def path(N: int) -> nx.Graph[int]:
    """Return N agents in a line.

    Examples
    --------
    >>> sorted(path(3).edges)
    [(0, 1), (1, 2)]
    """
    N = whole(N, "N", 1)
    return _named(nx.path_graph(N), f"path({N})")


def star(N: int) -> nx.Graph[int]:
    """Return N agents: agent 0 in the centre, next to all others.

    Examples
    --------
    >>> [star(4).degree[i] for i in range(4)]
    [3, 1, 1, 1]
    """
    N = whole(N, "N", 1)
    return _named(nx.star_graph(N - 1), f"star({N})")


def complete(N: int) -> nx.Graph[int]:
    """Return N agents, each next to every other (fully connected).

    Examples
    --------
    >>> complete(4).number_of_edges()
    6
    """
    N = whole(N, "N", 1)
    return _named(nx.complete_graph(N), f"complete({N})")


def torus(a: int, b: int) -> nx.Graph[int]:
    """Return an a × b grid whose borders are glued together.

    Agent ``i * b + j`` sits in row i and column j. Along a side of length 2 the step and its
    wrap-around meet the same agent: that edge has ``weight=2``. A side of length 1 has no edges,
    so ``torus(1, b)`` is ``ring(b)``.

    Parameters
    ----------
    a, b : int
        Rows and columns, at least 1 each; N = a b.

    Returns
    -------
    networkx.Graph
        Degree 4, multiplicities counted, when both sides are at least 2.

    Examples
    --------
    >>> sorted(torus(3, 3).adj[0])
    [1, 2, 3, 6]
    """
    a, b = whole(a, "a", 1), whole(b, "b", 1)
    G = nx.grid_2d_graph(a, b, periodic=True)
    for (i, j), (k, m) in G.edges:
        if (i != k and a == 2) or (j != m and b == 2):
            G.edges[(i, j), (k, m)]["weight"] = 2
    return _named(nx.convert_node_labels_to_integers(G, ordering="sorted"), f"torus({a}, {b})")


def hypercube(m: int) -> nx.Graph[int]:
    """Return 2**m agents whose neighbours differ in one bit of their number.

    Parameters
    ----------
    m : int
        Dimension and degree, at least 0.

    Returns
    -------
    networkx.Graph
        On N = 2**m agents.

    Examples
    --------
    >>> sorted(hypercube(3).adj[5])
    [1, 4, 7]
    """
    m = whole(m, "m", 0)
    G = nx.empty_graph(1) if m == 0 else nx.hypercube_graph(m)
    return _named(nx.convert_node_labels_to_integers(G, ordering="sorted"), f"hypercube({m})")


def exponential(N: int, directed: bool = True) -> nx.Graph[int]:
    """Return the static exponential graph: steps of 1, 2, 4, … around the circle.

    Agent i receives from the agents ``i + 2**k mod N`` for ``k < ceil(log2 N)``.

    Parameters
    ----------
    N : int
        Number of agents, at least 1.
    directed : bool, optional
        True for the graph as defined, False for its symmetrised version, in which whoever
        receives also sends. Methods that need symmetric weights need False.

    Returns
    -------
    networkx.DiGraph or networkx.Graph
        Directed: ceil(log2 N) in-neighbours and as many out-neighbours.

    Examples
    --------
    >>> sorted(exponential(6).predecessors(5))
    [0, 1, 3]
    """
    N = whole(N, "N", 1)
    G = nx.empty_graph(N, create_using=nx.DiGraph)
    steps = [2**k for k in range((N - 1).bit_length())]
    G.add_edges_from(((i + step) % N, i) for i in range(N) for step in steps)
    return _named(G if directed else G.to_undirected(), f"exponential({N}, directed={directed})")


def erdos_renyi(N: int, p: float, seed: int = 0) -> nx.Graph[int]:
    """Draw each edge with probability p, again and again until the graph is connected.

    The draw with ``seed`` is tried first, then ``seed + 1``, ``seed + 2``, …; the one that was
    kept is stored in ``G.graph["seed"]``. The result is an Erdős–Rényi graph conditioned on being
    connected.

    Parameters
    ----------
    N : int
        Number of agents, at least 1.
    p : float
        Probability of an edge, 0 < p <= 1 (any p is fine for N = 1).
    seed : int, optional
        First seed tried, at least 0.

    Returns
    -------
    networkx.Graph
        Connected.

    Raises
    ------
    ValueError
        If p is out of range, or no draw was connected.

    Examples
    --------
    >>> erdos_renyi(5, 0.3).graph["seed"]
    1
    """
    N, seed = whole(N, "N", 1), whole(seed, "seed", 0)
    p = real(p, "p")
    if not 0 <= p <= 1 or (p == 0 and N > 1):
        raise ValueError(f"p = {p} is not in (0, 1]; give the probability of an edge")
    for s in range(seed, seed + TRIES):
        G = nx.gnp_random_graph(N, p, seed=s)
        if nx.is_connected(G):
            G.graph["seed"] = s
            return _named(G, f"erdos_renyi({N}, {p}, seed={s})")
    raise ValueError(
        f"none of {TRIES} draws of {N} agents with p = {p} is connected; "
        "raise p (connected graphs are common from log(N)/N on)"
    )


def _named(G: nx.Graph[int], name: str) -> nx.Graph[int]:
    G.graph["name"] = name
    return G
