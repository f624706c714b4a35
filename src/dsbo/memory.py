"""The memory that a step needs: told from a few agents beforehand, or measured.

A step is linear in its agents: N of them in chunks of c need c times what N / c of them need one
at a time. So a few agents do a step here as a run would, and what they held is scaled. That counts
all there is, a State old and new, what losses make on their way, messages and a batch of random
numbers, without a formula for each method that could be wrong.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dsbo.checked import whole
from dsbo.chunked import Chunked
from dsbo.ragged import Ragged
from dsbo.world import ROWS, TOGETHER, Draws, World

if TYPE_CHECKING:
    from dsbo.problems import Problem

FEW = 12
"""Agents that do a step for a prediction, at most."""


class Method(Protocol):
    """What a method says of its State and its step; an `Algorithm` does."""

    def init(self, x: Tensor, y: Tensor) -> Any:
        """Return the first State from starts ``x [n, d]`` and ``y [n, p]``."""
        ...

    def step(self, t: int, s: Any, w: World) -> Any:
        """Return the State of iteration t + 1."""
        ...


class Derivatives:
    """No method: it asks once for all derivatives, as a step of D-SOBA does, and moves nothing."""

    def init(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the starts."""
        return x, y

    def step(self, t: int, s: tuple[Tensor, Tensor], w: World) -> tuple[Tensor, Tensor]:
        """Return the State as it was."""
        w.f.grad(*s, w.draw.xi(t))
        w.g.grad_hess(*s, w.draw.zeta(t), s[1])
        return s


def predicted(method: Method, problem: Problem, chunk: int | None = None) -> int:
    """Return the bytes of tensors that a run will hold at its peak above those before it.

    A few agents do three iterations for that. Of the run nothing is left out but what one's own
    ``metrics`` and ``measure`` make, what a compiled step saves, and what the processes of `Peers`
    receive; W and the libraries' own buffers are no tensors of a step.

    Parameters
    ----------
    method : Algorithm or Method
        Whose step.
    problem : Problem
        On what. Of agents with different numbers of rows some are taken who have about as many
        as the mean.
    chunk : int, optional
        As in `run`.

    Raises
    ------
    TypeError, ValueError
        If the method is none, or the chunk no number of agents.
    """
    if isinstance(method, type) or not hasattr(method, "step"):
        raise TypeError(f"algorithm must be made as in DSOBA(0.1, 0.1, 0.1), got {method!r}")
    N = problem.agents
    size = N if chunk is None else min(N, whole(chunk, "chunk"))
    ratio = N / size
    unit = min(size, FEW) if any(_rows(problem)) else 1  # one agent stands for all who are alike
    low = min(math.floor(ratio), FEW - 1)
    first = measured(method, problem, low * unit, unit)
    more = 0 if low == ratio else measured(method, problem, (low + 1) * unit, unit) - first
    return round(size / unit * (first + more * (ratio - low)))


def measured(
    method: Method, problem: Problem, agents: int | None = None, chunk: int | None = None
) -> int:
    """Return the bytes of tensors that iterations of some agents held at their peak.

    Parameters
    ----------
    method, problem, chunk
        As in `predicted`.
    agents : int, optional
        How many of them; by default all.
    """
    few = _typical(problem, problem.agents if agents is None else agents)
    f, g = problem.f, problem.g
    if chunk is not None and chunk < len(few):
        f, g = Chunked.of(f, chunk), Chunked.of(g, chunk)

    def work() -> None:
        W = problem.x0.new_full((len(few), len(few)), 1 / len(few))

        def mix(*rows: Tensor, push: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
            return tuple(W @ row for row in (*rows, *push))

        world = World(f, g, Draws(0, few, problem.upper, problem.lower), mix, mix, mix)
        x0, y0 = (row.expand(len(few), -1) for row in (problem.x0, problem.y0))
        state = method.init(x0.clone(), y0.clone())
        # In the first iteration some methods look at all data. At the others random numbers are
        # made, of as many iterations as all agents get at once, while those before are there.
        together = min(TOGETHER, max(1, ROWS // problem.agents))
        for t in (0, together, 2 * together):
            state = method.step(t, state, world)
        problem.f.value(x0, y0, problem.upper.full(few))  # as a row of the trace does

    with torch.no_grad():
        return peak(work)


def peak(work: Callable[[], object]) -> int:
    """Return by how many bytes the tensors that ``work`` makes outweigh those it frees, at most.

    >>> peak(lambda: torch.zeros(1000) + 1)
    8000
    """
    watch = _Watch()
    with watch:
        work()
    return watch.top


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follow every storage from the operation that made it to its end."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: dict[int, int] = {}
        self.now = self.top = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        self._see((args, given), new=False)
        made = func(*args, **given)
        self._see(made, new=True)
        self.top = max(self.top, self.now)
        return made

    def _see(self, tree: Any, new: bool) -> None:
        for part in tree_leaves(tree):
            if not isinstance(part, Tensor) or part.layout != torch.strided:
                continue
            storage = part.untyped_storage()
            if (key := storage._cdata) not in self.held:
                self.held[key] = storage.nbytes() if new else 0
                self.now += self.held[key]
                weakref.finalize(storage, self._free, key).atexit = False

    def _free(self, key: int) -> None:
        self.now -= self.held.pop(key)


def _rows(problem: Problem) -> list[int]:
    """Return how many rows each agent has on both levels together, 0 where all have as many."""
    everyone = problem.everyone()
    batches = [sampler.full(everyone) for sampler in (problem.upper, problem.lower)]
    each = [batch.rows for batch in batches if isinstance(batch, Ragged)]
    return [sum(own) for own in zip(*each, strict=True)] or [0] * problem.agents


def _typical(problem: Problem, few: int) -> Tensor:
    """Return agents in a row who have about as many rows of data as the mean of all."""
    rows = torch.tensor(_rows(problem), dtype=torch.float64, device="cpu")
    means = rows.unfold(0, few, 1).mean(1)
    start = int((means - rows.mean()).abs().argmin())
    return problem.everyone()[start : start + few]
