"""One neighbour a round, and another one every round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsbo.checked import whole
from dsbo.network.base import Network


@dataclass(frozen=True, eq=False)
class OnePeer(Network):
    """The exponential graph, one of its steps a round: agent i listens to i - 1, i - 2, i - 4, ….

        round r:  x_i <- (x_i + x_j) / 2,    j = i - 2^k modulo N,    k one of 0, …, ⌈log₂ N⌉ - 1

    A round costs an agent one message, whatever N is. A cycle of ⌈log₂ N⌉ rounds goes through all
    k, and if N is a power of two it gives everybody the exact average. Every cycle has an order of
    its own, a function of its number: in a fixed order a method with as many rounds an iteration
    would let each variable meet one peer only, for ever. Rounds are counted over the run, so that
    a run that resumes goes on where it was. ``W`` holds the mean of a cycle's weights, and ``rho``
    is its mixing rate. Ying et al. 2021, with the order drawn.

    Every round's weights are doubly stochastic, so D-SOBA and the tracking methods may use them.
    Exact diffusion, EXTRA and SLAM are derived for weights that stay; what they check is ``W``.

    Parameters
    ----------
    N : int
        Number of agents, at least 2.

    Raises
    ------
    TypeError, ValueError
        If N is not a whole number, or smaller than 2.

    Examples
    --------
    >>> OnePeer(8).links
    8
    >>> len(OnePeer(8).cycle)
    3
    """

    W: NDArray[np.float64] = field(init=False)
    N: int

    varies: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "N", whole(self.N, "N", least=2))
        object.__setattr__(self, "W", np.mean(self.cycle, axis=0))
        super().__post_init__()

    @property
    def cycle(self) -> list[NDArray[np.float64]]:
        """The weights ``[N, N]`` of a cycle's rounds, in the order of k."""
        one = np.eye(self.N)
        steps = range((self.N - 1).bit_length())
        return [(one + np.roll(one, 2**k, axis=0)) / 2 for k in steps]

    @property
    def links(self) -> int:
        """Ordered pairs of agents between which a message travels in a round: N."""
        return self.N

    def weights(self, like: Tensor) -> Callable[[int], Tensor]:
        """Return a function: round -> its weights with the dtype and device of ``like``."""
        cycle = [torch.as_tensor(W, dtype=like.dtype, device=like.device) for W in self.cycle]

        return lambda number: cycle[drawn(number, len(cycle))]


def drawn(number: int, length: int) -> int:
    """Return the place in a cycle of a round, where every cycle has an order of its own."""
    turn, place = divmod(number, length)
    return int(np.random.default_rng(turn).permutation(length)[place])
