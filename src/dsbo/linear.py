"""Linear systems, one an agent."""

from __future__ import annotations

import torch
from torch import Tensor

TOGETHER = 64
"""Unknowns up to which all agents' systems are factorised at once. On several threads PyTorch does
that at the same time, and from about 150 unknowns on MKL hangs or gives wrong numbers then
(github.com/pytorch/pytorch/issues/142815)."""


def solve(A: Tensor, b: Tensor) -> Tensor:
    """Return the solutions ``[n, p]`` or ``[n, p, k]`` of A_i x_i = b_i, where A is ``[n, p, p]``.

    Raises
    ------
    RuntimeError
        If a matrix is singular.
    """
    apart = A.shape[-1] > TOGETHER
    pairs = zip(A[:, None], b[:, None], strict=True) if apart else [(A, b)]
    return torch.cat([torch.linalg.solve(*pair) for pair in pairs])
