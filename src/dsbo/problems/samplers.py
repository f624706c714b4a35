"""Samplers: how an agent draws from its own data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dsbo.checked import whole
from dsbo.keys import Randoms
from dsbo.problems.shards import Form, Shard, opened
from dsbo.ragged import Lengths, Ragged

Rows = int | tuple[int | None, int | None] | None
"""Rows in a batch: of both levels, or of the upper and of the lower one; None for all."""


@dataclass(frozen=True, eq=False)
class Minibatch:
    """Uniform draws with replacement from each agent's own rows.

    Parameters
    ----------
    data : tuple of Tensor
        Each ``[N, m, …]``: N agents with m rows each, or at most m.
    size : int or None
        Rows in a batch; None takes all m rows every time, so that nothing is random.
    form : tuple of str or None
        What the loss is handed: a dict with these keys, a tuple for (), a tensor for None.
    lengths : Tensor or None
        How many rows are an agent's own, ``[N]``, where agents have different numbers of them.
    """

    data: tuple[Tensor, ...]
    size: int | None
    form: Form = ()
    lengths: Tensor | None = None

    def __post_init__(self) -> None:
        if self.size is not None:
            size = whole(self.size, "batch, if it is not None for all data,")
            object.__setattr__(self, "size", size)

    def numbers(self, randoms: Randoms, agents: Tensor, K: int) -> Tensor | None:
        """Return the rows ``[T, K, n, size]`` of the draws, counted over all agents."""
        if self.size is None:
            return None
        m = self.data[0].shape[1]
        own = m if self.lengths is None else self.lengths[agents].numpy(force=True)
        rows = torch.from_numpy(randoms.integers(own, K * self.size)).to(agents.device)
        rows = rows.view(*rows.shape[:2], K, self.size) + m * agents[:, None, None]
        return rows.transpose(1, 2).contiguous()

    def batch(self, numbers: Tensor, agents: Tensor) -> Any:  # noqa: ARG002
        """Return a batch ``[n, size, …]`` of each tensor."""
        return self._hand_over(tuple(part.flatten(0, 1)[numbers] for part in self.data))

    def full(self, agents: Tensor) -> Any:
        """Return all rows ``[n, m, …]`` of the agents."""
        first, stop = int(agents[0]), int(agents[0]) + len(agents)
        block = torch.equal(agents, torch.arange(first, stop, device=agents.device))
        own = slice(first, stop) if block else agents  # of agents in a row nothing is copied
        whole = self._hand_over(tuple(part[own] for part in self.data))
        return (
            whole if self.lengths is None else Ragged(whole, Lengths(self.lengths[agents].tolist()))
        )

    def to(self, device: torch.device) -> Minibatch:
        """Return the sampler with its data on ``device``."""
        lengths = None if self.lengths is None else self.lengths.to(device)
        data = tuple(part.to(device) for part in self.data)
        return Minibatch(data, self.size, self.form, lengths)

    def _hand_over(self, parts: tuple[Tensor, ...]) -> Any:
        if self.form is None:
            return parts[0]
        if isinstance(self.form, type):
            return self.form(*parts)
        return dict(zip(self.form, parts, strict=True)) if self.form else parts


@dataclass(frozen=True, eq=False)
class Noisy:
    """Every agent's coefficients, plus fresh Gaussian noise on each gradient."""

    coefficients: tuple[Tensor, ...]
    noise: float

    def numbers(self, randoms: Randoms, agents: Tensor, K: int) -> Tensor | None:  # noqa: ARG002
        """Return noise ``[T, K, n, d + p]`` of standard deviation ``noise``."""
        if not self.noise:
            return None
        size = sum(c.shape[1] for c in self.coefficients[-2:])
        drawn = torch.from_numpy(randoms.normal(K * size) * self.noise).to(self.coefficients[0])
        return drawn.view(*drawn.shape[:2], K, size).transpose(1, 2).contiguous()

    def batch(self, numbers: Tensor, agents: Tensor) -> Any:
        """Return the coefficients and the two noise rows."""
        own = [c[agents] for c in self.coefficients]
        return *own, *torch.split(numbers, [c.shape[1] for c in own[-2:]], dim=1)

    def full(self, agents: Tensor) -> Any:
        """Return the coefficients and zeros for the noise."""
        own = [c[agents] for c in self.coefficients]
        return *own, *(torch.zeros_like(c) for c in own[-2:])

    def to(self, device: torch.device) -> Noisy:
        """Return the sampler with its coefficients on ``device``."""
        return Noisy(tuple(c.to(device) for c in self.coefficients), self.noise)


def sizes(batch: Rows) -> tuple[int | None, int | None]:
    """Return the rows in a batch of the upper and of the lower level, None for all.

    Raises
    ------
    ValueError
        If it has parts, but not one a level.

    >>> sizes((10, None))
    (10, None)
    """
    if not isinstance(batch, tuple | list):
        return batch, batch
    if len(batch) != 2:
        raise ValueError(
            f"batch must be a number of rows or a pair of them, (upper, lower), got {batch!r}"
        )
    return batch[0], batch[1]


def minibatch(
    shards: Sequence[Shard], batch: int | None, name: str, device: torch.device
) -> Minibatch:
    """Return the sampler of one shard an agent.

    Parameters
    ----------
    shards : sequence
        One entry an agent.
    batch : int or None
        Rows in a batch.
    name : str
        Of the shards, for messages.
    device : torch.device
        Where shards go that are no tensors yet.

    Raises
    ------
    TypeError, ValueError
        If the shards are not tensors, differ in shape or dtype between agents or within one, are
        empty, or hold NaN or infinity.
    """
    if isinstance(shards, Tensor) or not isinstance(shards, Sequence) or not len(shards):
        raise TypeError(
            f"{name} must be a list with one entry an agent (a tensor, an array, a tuple or dict "
            f"of them, or a data set), got {type(shards).__name__}; take list(…)"
        )
    per_agent, forms = zip(
        *(opened(s, f"{name}[{i}]", device) for i, s in enumerate(shards)), strict=True
    )
    for i, (parts, form) in enumerate(zip(per_agent, forms, strict=True)):
        if form != forms[0]:
            here, there = map(_worded, (form, forms[0]))
            raise ValueError(f"{name}[{i}] is {here}, agent 0's {there}; give all one form")
        _check_shard(parts, per_agent[0], f"{name}[{i}]")
    data = tuple(
        pad_sequence(list(column), batch_first=True) for column in zip(*per_agent, strict=True)
    )
    lengths = torch.tensor([len(parts[0]) for parts in per_agent], device=data[0].device)
    equal = bool((lengths == lengths[0]).all())
    return Minibatch(data, batch, forms[0], None if equal else lengths)


def _worded(form: Form) -> str:
    if isinstance(form, type):
        return f"a {form.__name__}"
    return (
        "a tensor"
        if form is None
        else f"a dict of {', '.join(map(str, form))}"
        if form
        else "a tuple"
    )


def _check_shard(parts: tuple[Tensor, ...], first: tuple[Tensor, ...], name: str) -> None:
    for part in parts:
        if part.ndim == 0 or part.shape[0] == 0:
            raise ValueError(f"{name} has no rows; every agent needs data")
        if part.is_floating_point() and not part.isfinite().all():
            bad = int((~part.isfinite()).sum())
            raise ValueError(f"{name} holds {bad} NaN or infinite values; clean the data first")
    if len({len(part) for part in parts}) > 1:
        raise ValueError(f"{name}: its tensors have {[len(p) for p in parts]} rows; need one count")
    here, there = (
        [f"{p.dtype} {list(p.shape[1:])} on {p.device}" for p in s] for s in (parts, first)
    )
    if here != there:
        raise ValueError(
            f"samples of {name} are {', '.join(here)}, those of agent 0 {', '.join(there)}; every "
            "agent needs the same kind"
        )
