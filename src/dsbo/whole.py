"""A whole iteration as one compiled graph: draws picked, derivatives, messages and updates.

A step is a pure function of the State, of random numbers and of step sizes. Where its Python does
not look at any of them, doing it once writes down all its operations; compiled together they take
one call instead of a hundred, and pass over memory a few times instead of twenty.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from dsbo.algorithms import Algorithm
from dsbo.traced import UNWRITTEN, compiled, written
from dsbo.world import Draws, World

Numbers = Sequence[Any]


@dataclass(frozen=True)
class _Asked(Draws):
    """Draws that note what they are asked for."""

    asked: list[tuple[int, int]] = field(default_factory=list)

    def numbers(self, t: int, stream: int, K: int = 1) -> Numbers:
        self.asked.append((stream, K))
        return super().numbers(t, stream, K)


@dataclass(frozen=True)
class _Given(Draws):
    """Draws from numbers that are given, in the order in which they are asked for."""

    given: Iterator[Numbers] = field(default_factory=lambda: iter(()))

    def numbers(self, t: int, stream: int, K: int = 1) -> Numbers:  # noqa: ARG002
        return next(self.given)


class Stepping(Protocol):
    """What a step needs of an algorithm."""

    def steps(self, t: int) -> Sequence[Any]:
        """Return the step sizes of iteration t: a number each, or one for each of many runs."""
        ...

    def with_steps(self, values: Sequence[Any]) -> Algorithm:
        """Return the method with tensors as its steps."""
        ...

    def step(self, t: int, s: Any, w: World) -> Any:
        """Return the State of iteration t + 1."""
        ...


class WholeStep:
    """An algorithm's step, compiled; called like the step itself.

    Parameters
    ----------
    algorithm : Stepping
        What runs: an `Algorithm`, or many that differ in their steps.
    world : World
        In what, with levels that are not compiled; all agents are in this process.
    state : NamedTuple
        A State, for its shapes.
    counters : sequence of Counter
        What levels and mixers of ``world`` add to; every call adds what a step adds.
    sums : callable
        Of the new State; computed with it.

    Attributes
    ----------
    told : Tensor
        What ``sums`` gave of the newest State.
    seconds : float
        Time that writing down and compiling took.

    Raises
    ------
    AssertionError, AttributeError, RuntimeError, TypeError, ValueError
        If the step looks at t or at the values of tensors, so that one graph is not enough.
    """

    def __init__(
        self,
        algorithm: Stepping,
        world: World,
        state: Any,
        counters: Sequence[Counter[str]],
        sums: Callable[[Any], Tensor],
    ) -> None:
        started = time.perf_counter()
        self.algorithm, self.draw, self.counters = algorithm, world.draw, counters
        self.fed: tuple[Sequence[Any], list[Tensor]] = ((), [])
        self.like = state.x
        own = self.draw.seed, self.draw.agents, self.draw.upper, self.draw.lower, self.draw.kept
        asking, unknown = _Asked(*own), cast(int, _Unknown())
        with torch.no_grad():
            self._counted(lambda: algorithm.step(0, state, world._replace(draw=asking)))
            self.asked = tuple(asking.asked)
            random = [[n is not None for n in self.draw.numbers(0, *each)] for each in self.asked]

            def step(
                parts: list[Tensor], inputs: list[Tensor], steps: list[Tensor]
            ) -> list[Tensor]:
                left = iter(inputs)
                numbers = [[next(left) if told else None for told in each] for each in random]
                given = _Given(*own, given=iter(numbers))
                now = algorithm.with_steps(steps)
                new = now.step(unknown, type(state)(*parts), world._replace(draw=given))
                return [*(part.contiguous() for part in new), sums(new)]

            # At first two variables may be one tensor, and their operations one another's.
            own_parts = [part.clone(memory_format=torch.contiguous_format) for part in state]
            inputs = own_parts, self._inputs(0), self._steps(0)
            (graph, self.held), self.counts = self._counted(lambda: written(step, *inputs))
            self.graph = compiled(graph, [*itertools.chain(*inputs), *self.held])
        self.seconds = time.perf_counter() - started

    def __call__(self, t: int, state: Any, world: World) -> Any:  # noqa: ARG002
        """Return the State of iteration t + 1."""
        parts = [part.contiguous() for part in state]
        *new, self.told = self.graph(*parts, *self._inputs(t), *self._steps(t), *self.held)
        for counter, counts in zip(self.counters, self.counts, strict=True):
            counter.update(counts)
        return type(state)(*new)

    def _inputs(self, t: int) -> list[Tensor]:
        """Return the random numbers of iteration t, in the order in which a step asks for them."""
        drawn = (self.draw.numbers(t, *each) for each in self.asked)
        return [one.contiguous() for numbers in drawn for one in numbers if one is not None]

    def _steps(self, t: int) -> list[Tensor]:
        """Return the step sizes of iteration t as tensors."""
        steps = self.algorithm.steps(t)
        if steps != self.fed[0]:
            self.fed = steps, [self.like.new_tensor(value) for value in steps]
        return self.fed[1]

    def _counted(self, work: Callable[[], Any]) -> tuple[Any, list[Counter[str]]]:
        """Return what ``work`` gives and what it counts, the counters left as they were."""
        before = [Counter(counter) for counter in self.counters]
        try:
            found = work()
            counts = [now - was for now, was in zip(self.counters, before, strict=True)]
        finally:  # also where the work cannot be written down to its end
            for counter, was in zip(self.counters, before, strict=True):
                counter.clear()
                counter.update(was)
        return found, counts


def whole_step(*args: Any) -> WholeStep | None:
    """Return `WholeStep` of these, or None where one graph is not enough."""
    try:
        return WholeStep(*args)
    except UNWRITTEN:
        return None


class _Unknown:
    """An iteration that nobody may look at."""

    def _refuse(self, *_: Any) -> Any:
        raise TypeError("the step depends on t itself")

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __index__ = __int__ = _refuse
    __float__ = __hash__ = __getattr__ = _refuse
