"""Two weights on a directed graph: what agents hold is pulled, what they track is pushed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsbo import mixing
from dsbo.network.base import Mix, Network, apart
from dsbo.network.one_peer import drawn
from dsbo.spectra import perron
from dsbo.stochastic import check_pair, require_connected


@dataclass(frozen=True, eq=False)
class PushPull(Network):
    """Weights for directed graphs, which may change every round, under all methods that track.

        rows       x_i <- sum_j W[i, j] x_j         an agent weighs what it receives
        trackers   t_i <- sum_j push[i, j] t_j      an agent splits what it sends

    Where agents do not send on as many edges as they receive on, shares that they choose alone are
    in general not doubly stochastic. With ``W`` alone, whose rows sum to one, agents come to agree,
    but on the solution of a problem in which agent i counts as much as the left Perron vector of
    ``W`` says. A tracker whose columns sum to one keeps the sum of what is tracked, and all count
    alike.

    Pu et al. 2021 and Xin and Khan 2018, under each method's own directions. Derived in
    book/directed.md.

    Parameters
    ----------
    W : array_like, [N, N] or [C, N, N]
        Rows sum to one, as `mixing.row` makes them; C of them are used in turn, one a round, every
        C rounds in another order.
    push : array_like, of the same shape
        Columns sum to one, as `mixing.column` makes them, on the same graphs.

    Raises
    ------
    TypeError
        If one of both is missing, or no matrix.
    ValueError
        If sums, signs or graphs are not such, if an agent keeps nothing of its own, or if not all
        of C graphs together lead from each agent to each.

    Examples
    --------
    >>> import networkx as nx
    >>> G = nx.DiGraph([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)])
    >>> network = PushPull(mixing.row(G), mixing.column(G))
    >>> network.links, round(network.gain, 4)
    (5, 1.0414)
    """

    push: NDArray[np.float64]
    cycle: list[NDArray[np.float64]] = field(init=False, repr=False)
    """Both weights ``[2, N, N]`` of each of the C rounds."""

    def __post_init__(self) -> None:
        pulls, pushes = _rounds("W", self.W, "row"), _rounds("push", self.push, "column")
        if len(pulls) != len(pushes):
            raise ValueError(
                f"W is given for {len(pulls)} rounds, push for {len(pushes)}; give both for each"
            )
        pairs = zip(pulls, pushes, strict=True)
        every = [np.stack(check_pair(*pair, connected=False)) for pair in pairs]
        if len({pair.shape for pair in every}) > 1:
            raise ValueError("weights of rounds are for different numbers of agents")
        object.__setattr__(self, "cycle", every)
        for name, mean in zip(("W", "push"), np.mean(every, axis=0), strict=True):
            object.__setattr__(self, name, mean)
        require_connected(self.W, 1e-10)

    @property
    def varies(self) -> bool:  # type: ignore[override]
        """Whether the weights differ from round to round; then ``W`` and ``push`` are means."""
        return len(self.cycle) > 1

    @property
    def turns(self) -> list[int]:
        """Of each round of the cycle, how many messages travel in it."""
        return [int(np.count_nonzero(pull)) - self.agents for pull, _ in self.cycle]

    @property
    def matrices(self) -> NDArray[np.float64]:
        """Both weights of every round, ``[2 C, N, N]``."""
        return np.concatenate(self.cycle)

    @cached_property
    def gain(self) -> float:
        """N times the product of the Perron vectors: by how much more than a step the mean moves.

        So it is where steps are so small that mixing is much faster: then steps that are right with
        doubly stochastic weights are right here when divided by it. For weights that change it is
        that of their means, and near.
        """
        return self.agents * float(perron(self.W) @ perron(self.push.T))

    def mixer(self, like: Tensor, sent: Counter[str], clock: str = "rounds") -> Mix:
        """Return the mixer; see `Network.mixer`."""
        sent.setdefault(clock, 0)

        def both(W: NDArray[np.float64], push: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
            pair = mixing.rounded(W, like.dtype), mixing.rounded(push.T, like.dtype).T.copy()
            pulls, pushes = (torch.from_numpy(W).to(like) for W in pair)
            return pulls, pushes

        return PairMixer([both(*pair) for pair in self.cycle], self.turns, sent, clock)


def _rounds(name: str, W: Any, maker: str) -> list[Any]:
    """Return the matrices of all rounds, also where there is one for all, or say what is none."""
    if not isinstance(W, Sequence | np.ndarray | Tensor) or not len(W):
        raise TypeError(f"{name} must be weights, as mixing.{maker}(G) makes them, got {W!r}")
    return [W] if np.ndim(W[0]) < 2 else list(W)


@dataclass(frozen=True, eq=False)
class PairMixer:
    """Multiply by both weights of the round, and count it and the numbers sent."""

    cycle: Sequence[tuple[Tensor, Tensor]]
    links: Sequence[int]
    sent: Counter[str]
    clock: str

    def __call__(self, *rows: Tensor, push: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Return W times each of ``rows [N, p]`` and the other weights times each of ``push``."""
        place = drawn(self.sent[self.clock], len(self.cycle))
        self.sent.update({"rounds", self.clock})
        self.sent["floats"] += self.links[place] * sum(row.shape[1] for row in (*rows, *push))
        pulls, pushes = self.cycle[place]
        pulled = (torch.mm(pulls, row) if row.itemsize == 8 else apart(pulls, row) for row in rows)
        return *pulled, *(torch.mm(pushes, row) for row in push)
