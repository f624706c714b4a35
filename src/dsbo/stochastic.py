"""What weights must satisfy, so that mixing keeps the average and brings agents together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from dsbo.spectra import perron, square

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Weights = NDArray[np.float64]

MOVED = 0.2
"""By how much the weights of a row may change, all together, when they are rounded."""


def rounded(W: Weights, dtype: torch.dtype) -> Weights:
    """Return W made of numbers of a floating-point type, with rows that still sum to one exactly.

    Rounded one by one, weights sum to one only almost, and methods that add up what is left of
    agreement, such as exact diffusion, then leave their solution. So weights become multiples of
    the type's epsilon, and an agent's own makes up the rest. In double precision W stays.

    Raises
    ------
    ValueError
        If so much is lost that it is another network.

    Examples
    --------
    >>> from dsbo import graphs, mixing
    >>> W = rounded(mixing.metropolis(graphs.path(3)), torch.float32)
    >>> bool((W.sum(axis=1) == 1).all() and (W == W.astype(np.float32)).all())
    True
    """
    if dtype == torch.float64:
        return W
    grid = torch.finfo(dtype).eps
    off = grid * np.round(W / grid)
    np.fill_diagonal(off, 0)
    out: Weights = off + np.diag(1 - off.sum(axis=1))
    if (moved := float(np.abs(out - W).sum(axis=1).max())) > MOVED:
        raise ValueError(
            f"in {dtype}, whose epsilon is {grid:.2g}, the weights would change by {moved:.2g} in "
            "a row; use float32, or a graph with fewer neighbours an agent"
        )
    return out


def check(W: ArrayLike | torch.Tensor, agents: int | None = None) -> Weights:
    """Return W as float64 if it may be mixed with, otherwise say what is wrong.

    Sums may be off by 1e-10 (by 1e-6 where W came in less than double precision).

    Parameters
    ----------
    W : array_like or torch.Tensor, [N, N]
        Weights in the row convention.
    agents : int, optional
        The N that is meant.

    Returns
    -------
    ndarray, float64, [N, N]
        A copy.

    Raises
    ------
    ValueError
        If W is not square, not finite, not of size `agents`, has a negative entry, is not doubly
        stochastic, or its graph is not strongly connected.

    Examples
    --------
    >>> check([[0.5, 0.5], [0.3, 0.7]])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: W is not doubly stochastic: columns sum to [0.8 1.2]; use mixing.metropolis, ...
    """
    tol = _tolerance(W)
    W = square(W).copy()
    if agents is not None and len(W) != agents:
        raise ValueError(f"W is for {len(W)} agents, not {agents}; build it on a graph of {agents}")
    require_sign(W, tol)
    require_sums(W, tol, "W is not doubly stochastic", "use mixing.metropolis")
    require_connected(W, tol)
    return W


def check_pair(
    W: ArrayLike | torch.Tensor, push: ArrayLike | torch.Tensor, connected: bool = True
) -> tuple[Weights, Weights]:
    """Return both weights of a directed graph if they may be mixed with; see `PushPull`.

    Parameters
    ----------
    W, push : array_like or torch.Tensor, [N, N]
        Rows of W and columns of ``push`` sum to one.
    connected : bool
        Whether the graph must lead from each agent to each.

    Raises
    ------
    ValueError
        If they do not, or an entry is negative, an agent keeps nothing, or graphs differ.
    """
    tol = max(_tolerance(W), _tolerance(push))
    pull, push = square(W).copy(), square(push).copy()
    if pull.shape != push.shape:
        raise ValueError(f"W is for {len(pull)} agents, push for {len(push)}; give one graph's")
    for name, given, axis, maker in (("W", pull, 1, "row"), ("push", push, 0, "column")):
        require_sign(given, tol, name)
        require_sums(
            given, tol, f"{name} is not {maker}-stochastic", f"use mixing.{maker}", (axis,)
        )
        if not given.diagonal().min() > tol:
            i = int(given.diagonal().argmin())
            raise ValueError(f"{name}[{i}, {i}] is 0: agent {i} keeps nothing; use mixing.{maker}")
    if ((pull > tol) != (push > tol)).any():
        i, j = np.argwhere((pull > tol) != (push > tol))[0]
        raise ValueError(
            f"W[{i}, {j}] = {pull[i, j]:.3g}, but push[{i}, {j}] = {push[i, j]:.3g}; make both of "
            "one graph, by mixing.row(G) and mixing.column(G)"
        )
    if connected:
        require_connected(pull, tol)
    return pull, push


def _tolerance(W: ArrayLike | torch.Tensor) -> float:
    short = getattr(W, "dtype", None) in (torch.float32, torch.float16, torch.bfloat16) or (
        isinstance(W, np.ndarray) and W.dtype in (np.float32, np.float16)
    )
    return 1e-6 if short else 1e-10


def require_sign(W: Weights, tol: float, name: str = "W") -> None:
    """Raise a ValueError if an entry is negative."""
    if W.min() < -tol:
        i, j = np.unravel_index(W.argmin(), W.shape)
        raise ValueError(
            f"{name}[{i}, {j}] = {W.min():.6g} is negative; use mixing.metropolis or mixing.lazy"
        )


def require_sums(
    W: Weights, tol: float, fault: str, remedy: str, axes: Sequence[int] = (1, 0)
) -> None:
    """Raise a ValueError if rows (axis 1) or columns (axis 0) do not sum to one."""
    for axis in axes:
        sums = W.sum(axis=axis)
        if np.abs(sums - 1).max() > tol:
            shown = np.array2string(sums, precision=6, threshold=8, edgeitems=3)
            name = ("columns", "rows")[axis]
            if axis == 0 and len(axes) == 2:
                remedy += (
                    ", or PushPull on a directed graph; with rows alone the agents would agree on "
                    "the solution of a problem in which some count more than others"
                )
            raise ValueError(f"{fault}: {name} sum to {shown}; {remedy}")


def require_balance(network: Weighted, tracking: bool, name: str) -> None:
    """Raise a ValueError if on weights for directed graphs agents would count unequally.

    Parameters
    ----------
    network : Network
        Of a level.
    tracking : bool
        Whether what moves the level is tracked.
    name : str
        Of the method.
    """
    if network.push is None or tracking:
        return
    told, shares = f"{name} does not track all directions", perron(network.W)
    if np.abs(shares * len(shares) - 1).max() < 1e-9:
        raise ValueError(f"{told}, so PushPull is not for it; if W is doubly stochastic: Dense(W)")
    shown = np.array2string(shares, precision=3, threshold=8, edgeitems=3)
    raise ValueError(
        f"{told}, so on a directed graph agents would count as {shown}, the Perron vector of W; "
        "take a method that does: SLDBO, AdaSDBOGT, DIAMOND, SPARKLE with 'semi-ATC-GT' on all "
        "levels, …"
    )


class Weighted(Protocol):
    """What is known of the network of a level."""

    @property
    def W(self) -> Weights:  # noqa: N802
        """The weights ``[N, N]``; their mean if they vary."""
        ...

    @property
    def push(self) -> Weights | None:
        """The weights of trackers, if they have their own."""
        ...

    @property
    def varies(self) -> bool:
        """Whether the weights differ from round to round."""
        ...


def require_connected(W: Weights, tol: float) -> None:
    """Raise a ValueError if some disagreement between agents would never fade."""
    import networkx as nx  # slower to import than all of dsbo

    support = np.abs(W) > tol
    G = nx.from_numpy_array(support, create_using=nx.DiGraph)
    if nx.is_strongly_connected(G):
        if not support.diagonal().any() and not nx.is_aperiodic(G):
            raise ValueError(
                "the graph of W is periodic: rows travel round and some disagreement never fades; "
                "use mixing.lazy(W), which keeps half"
            )
    else:
        parts = [sorted(part) for part in nx.strongly_connected_components(G)]
        raise ValueError(
            f"the graph of W falls into {len(parts)} parts, one of them {min(parts)[:8]}; "
            "use a connected graph (graphs.ring, graphs.erdos_renyi, …)"
        )
