"""The networks of the papers' experiments."""

from __future__ import annotations

from functools import lru_cache

from dsbo import graphs, mixing
from dsbo.network import Dense, Network

__all__ = ["random", "regular"]


@lru_cache(maxsize=64)
def regular(graph: str, agents: int, self_weight: float | None = None) -> Network:
    """Return a network whose agents all have as many neighbours, and share equally with them.

    Parameters
    ----------
    graph : str
        ``complete``, ``exponential``, ``torus``, ``ring`` or ``adjusted ring``.
    agents : int
        Number N of agents; even for the torus, 2 × N/2.
    self_weight : float, optional
        What an agent of the adjusted ring keeps of its own.
    """
    made = {
        "complete": lambda: mixing.average(agents),
        "exponential": lambda: mixing.uniform(graphs.exponential(agents)),
        "torus": lambda: mixing.uniform(graphs.torus(2, agents // 2)),
        "ring": lambda: mixing.uniform(graphs.ring(agents)),
        "adjusted ring": lambda: mixing.uniform(graphs.ring(agents), self_weight=self_weight),
    }
    return Dense(made[graph]())


@lru_cache(maxsize=64)
def random(agents: int, edge: float, seed: int) -> Network:
    """Return the weights I - 2V / (3 ρ_max(V)) of Qiu et al. 2023 on an Erdős–Rényi graph.

    Parameters
    ----------
    agents : int
        Number N of agents.
    edge : float
        Probability of an edge; graphs are drawn until one is connected.
    seed : int
        Of the draws.
    """
    return Dense(mixing.laplacian(graphs.erdos_renyi(agents, edge, seed)))
