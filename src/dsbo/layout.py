"""Flat rows outside, named tensors inside.

An algorithm sees one row of numbers an agent; a loss sees the tensors those numbers stand for,
as views that share memory with the row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Tree = Any
"""A tensor, a dict of tensors or a tuple of tensors."""


@dataclass(frozen=True)
class Layout:
    """The shapes behind a flat row of ``size`` numbers.

    Parameters
    ----------
    keys : tuple of str or None
        Names of a dict's tensors; None for a single tensor or a tuple.
    shapes : tuple of torch.Size
        One shape a tensor, in the order in which the row stores them.
    single : bool
        True if the tree is one tensor rather than a tuple of one.
    """

    keys: tuple[str, ...] | None
    shapes: tuple[torch.Size, ...]
    single: bool = False

    @property
    def size(self) -> int:
        """Numbers in a row."""
        return sum(math.prod(shape) for shape in self.shapes)

    def leaves(self, rows: Tensor) -> list[Tensor]:
        """Return views of ``rows [..., size]`` in the tree's shapes, leading axes kept."""
        widths = [math.prod(shape) for shape in self.shapes]
        return [
            part.view((*rows.shape[:-1], *shape))
            for part, shape in zip(torch.split(rows, widths, dim=-1), self.shapes, strict=True)
        ]

    def tree(self, leaves: Sequence[Tensor]) -> Tree:
        """Return the tree of its tensors in order."""
        if self.single:
            return leaves[0]
        return tuple(leaves) if self.keys is None else dict(zip(self.keys, leaves, strict=True))

    def split(self, rows: Tensor) -> Tree:
        """Return the tree whose tensors are views of ``rows [..., size]``."""
        return self.tree(self.leaves(rows))

    def join(self, leaves: Sequence[Tensor]) -> Tensor:
        """Return the rows ``[..., size]`` of tensors that have leading axes."""
        flat = [
            leaf.reshape(*leaf.shape[: leaf.ndim - len(shape)], -1)
            for leaf, shape in zip(leaves, self.shapes, strict=True)
        ]
        return flat[0] if len(flat) == 1 else torch.cat(flat, dim=-1)


def flatten(tree: Tree, name: str) -> tuple[Tensor, Layout]:
    """Return the flat row and the layout of a tensor, a dict, a sequence or an `nn.Module`.

    Parameters
    ----------
    tree : Tensor, Mapping of str to Tensor, iterable of Tensor, or nn.Module
        A module stands for the dict of its named parameters that require a gradient; the others
        stay as they are.
    name : str
        Named in the errors.

    Raises
    ------
    TypeError
        If something in the tree is not a floating-point tensor with values.
    ValueError
        If the tree is empty, mixes dtypes or devices, or holds NaN or infinity.
    """
    if isinstance(tree, nn.Module):
        tree = {k: part for k, part in tree.named_parameters() if part.requires_grad}
    keys: tuple[str, ...] | None = None
    if isinstance(tree, Tensor):
        parts = [tree]
    elif isinstance(tree, Mapping):
        keys, parts = tuple(tree), list(tree.values())
    elif isinstance(tree, Iterable):
        parts = list(tree)
    else:
        parts = [tree]
    for part in parts:
        if not isinstance(part, Tensor) or not part.is_floating_point():
            kind = part.dtype if isinstance(part, Tensor) else type(part).__name__
            raise TypeError(f"{name} must be made of floating-point tensors, got {kind}")
    if not sum(part.numel() for part in parts):
        raise ValueError(f"{name} is empty; give at least one number")
    if len({(part.dtype, part.device) for part in parts}) > 1:
        kinds = sorted({f"{part.dtype} on {part.device}" for part in parts})
        raise ValueError(f"{name} mixes {' and '.join(kinds)}; convert it to one dtype and device")
    row = torch.cat([part.detach().reshape(-1) for part in parts])
    if row.is_meta:
        raise TypeError(f"{name} is on the device meta, which holds no numbers; give values first")
    if not row.isfinite().all():
        raise ValueError(
            f"{name} holds NaN or infinity, where no run can start; give finite numbers"
        )
    return row, Layout(keys, tuple(part.shape for part in parts), isinstance(tree, Tensor))


def raw(part: Tensor) -> memoryview:
    r"""Return the bytes of a tensor, for a checksum.

    >>> raw(torch.ones(4, dtype=torch.uint8)[::2]).tobytes()
    b'\x01\x01'
    """
    flat = part.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
