"""What an agent's data may come as, and the tensors it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate

Shard = Any
"""One agent's data: a tensor, a NumPy array, a tuple or dict of them, or a map-style Dataset."""
Form = tuple[Any, ...] | type | None
"""A dict's keys, none for a tuple, a named tuple's class, None for a tensor by itself."""


def opened(shard: Shard, name: str, device: torch.device) -> tuple[tuple[Tensor, ...], Form]:
    """Return the tensors of a shard, and the form in which a loss gets a batch of them.

    What is no tensor yet becomes one on ``device``.

    Raises
    ------
    TypeError
        If it is something else; the message says how to convert it.
    """
    if isinstance(shard, DataLoader):
        raise TypeError(f"{name} is a DataLoader; give its data set, loader.dataset, and batch=…")
    if isinstance(shard, TensorDataset):
        shard = shard.tensors
    elif isinstance(shard, Dataset):
        shard = _collated(shard, name, device)
    if isinstance(shard, Tensor | np.ndarray):
        return (_tensor(shard, name, device),), None
    if isinstance(shard, Mapping):
        parts = tuple(_tensor(part, f"{name}[{key!r}]", device) for key, part in shard.items())
        return _some(parts, name), tuple(shard)
    if isinstance(shard, Sequence) and not isinstance(shard, str):
        parts = tuple(_tensor(part, name, device) for part in shard)
        return _some(parts, name), type(shard) if hasattr(shard, "_fields") else ()
    raise TypeError(
        f"{name} is a {type(shard).__name__}; give a tensor, a NumPy array, a tuple or dict of "
        "them, or a data set with a length"
    )


def _collated(dataset: Dataset[Any], name: str, device: torch.device) -> Any:
    try:
        length = len(dataset)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError) as error:
        raise TypeError(
            f"{name} is a {type(dataset).__name__} without a length; collect its samples in tensors"
        ) from error
    items = [dataset[i] for i in range(length)]
    try:
        with device:
            return default_collate(items)
    except (RuntimeError, TypeError) as error:
        said = str(error).splitlines()[0]
        raise TypeError(
            f"the samples of {name} cannot be stacked: {said}. Give each the same shape and kind"
        ) from error


def _some(parts: tuple[Tensor, ...], name: str) -> tuple[Tensor, ...]:
    if not parts:
        raise ValueError(f"{name} holds no tensors; give at least one")
    return parts


def _tensor(part: Any, name: str, device: torch.device) -> Tensor:
    if isinstance(part, np.ndarray) and part.dtype.kind in "biuf" and part.dtype.itemsize <= 8:
        return torch.tensor(part.astype(part.dtype.newbyteorder("=")), device=device)
    if not isinstance(part, Tensor):
        raise TypeError(f"{name} holds a {type(part).__name__}; convert it to a tensor of numbers")
    if part.layout != torch.strided:
        raise TypeError(f"{name} is a {part.layout} tensor; convert it by .to_dense()")
    if part.is_meta:
        raise TypeError(
            f"{name} is on the device meta, which holds no numbers; load the data first"
        )
    return part.detach()
