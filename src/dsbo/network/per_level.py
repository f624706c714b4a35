"""Another graph for each level."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dsbo.network.base import Network, Rounds
from dsbo.network.ranks import Ranks


@dataclass(frozen=True, eq=False)
class PerLevel(Network):
    """One network for x, one for y and one for z, for methods that mix the levels separately.

    Parameters
    ----------
    x, y, z : Network
        Over which the upper, the lower and the auxiliary variables are mixed.

    Raises
    ------
    ValueError
        If the three have different numbers of agents.

    Examples
    --------
    >>> from dsbo import Dense, graphs, mixing
    >>> ring, complete = (Dense(mixing.metropolis(G(6))) for G in (graphs.ring, graphs.complete))
    >>> PerLevel(x=ring, y=complete, z=complete).links
    72
    """

    W: NDArray[np.float64] = field(init=False)
    x: Network
    y: Network
    z: Network

    def __post_init__(self) -> None:
        agents = [network.agents for network in (self.x, self.y, self.z)]
        if len(set(agents)) > 1:
            raise ValueError(
                f"the networks of x, y and z have {agents} agents; "
                "make the three graphs on the same agents"
            )
        object.__setattr__(self, "W", np.stack(self.levels))

    @property
    def agents(self) -> int:
        """Number N of agents."""
        return self.x.agents

    @property
    def kind(self) -> str:
        """How each level's sums are computed."""
        return f"PerLevel({self.x.kind}, {self.y.kind}, {self.z.kind})"

    @property
    def ranks(self) -> Ranks:
        """The processes that share the agents out among them."""
        return self.x.ranks

    @property
    def batched(self) -> bool:
        """Whether the derivatives may be computed as one batch on all levels."""
        return all(network.batched for network in (self.x, self.y, self.z))

    @property
    def levels(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The weights ``[N, N]`` of x, y and z."""
        return self.x.W, self.y.W, self.z.W

    @cached_property
    def rho(self) -> float:
        """The mixing rate of the slowest of the three."""
        return max(network.rho for network in (self.x, self.y, self.z))

    @cached_property
    def links(self) -> int:
        """Ordered pairs of agents that exchange messages, added up over the three graphs."""
        return sum(network.links for network in (self.x, self.y, self.z))

    def mixers(self, like: Tensor, sent: Counter[str]) -> tuple[Rounds, Rounds, Rounds]:
        """Return the mixers of x, y and z."""
        x, y, z = (network.mixer(like, sent) for network in (self.x, self.y, self.z))
        return x, y, z
