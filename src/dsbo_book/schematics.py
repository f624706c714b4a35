"""Drawings of what no curve shows: levels within levels, and what two agents say to each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray

from dsbo_book.plots import SHADES

UPPER, LOWER = SHADES
PALE = "#F2F4F7"


def levels() -> Figure:
    """Draw the training within what is tuned: x goes in, y* comes out, and f judges both."""
    fig, ax = _empty(6.4, 2.6, (0, 10), (0, 4))
    _box(ax, 0.1, 0.1, 9.8, 3.8, UPPER, PALE)
    ax.text(0.4, 3.45, "upper level: choose x", color=UPPER, weight="bold")
    _box(ax, 3.0, 0.6, 3.4, 2.0, LOWER, "white")
    ax.text(4.7, 2.1, "lower level: train", color=LOWER, weight="bold", ha="center")
    ax.text(4.7, 1.35, r"$y^*(x) = \mathrm{argmin}_y\; g(x, y)$", ha="center")
    ax.text(1.1, 1.5, "$x$", ha="center", va="center", size=13)
    ax.text(8.7, 1.5, "$f(x, y^*(x))$", ha="center", va="center", size=12)
    _arrow(ax, (1.4, 1.5), (3.0, 1.5), "scene")
    _arrow(ax, (6.4, 1.5), (7.75, 1.5), "outcome")
    _arrow(ax, (8.5, 2.0), (1.1, 2.0), "", connectionstyle="arc3,rad=0.35", ls="--")
    ax.text(5.0, 3.45, r"$\nabla\Phi(x)$ tells how to change x", ha="left")
    return fig


def iteration(own: Sequence[str], sent: str, then: Sequence[str]) -> Figure:
    """Draw one iteration of two neighbours, from above.

    Parameters
    ----------
    own : sequence of str
        What an agent does by itself, in its order.
    sent : str
        What travels along the link, both ways.
    then : sequence of str
        What it does with what came.
    """
    rows = len(own) + 1 + len(then)
    fig, ax = _empty(6.4, 0.55 * rows + 0.6, (0, 10), (-0.2, rows + 0.7))
    for left, name in ((0.2, "agent $i$"), (6.4, "its neighbour $j$")):
        ax.text(left + 1.7, rows + 0.35, name, ha="center", weight="bold")
        for k, text in enumerate((*own, None, *then)):
            bottom = rows - 1 - k
            if text is None:
                ax.plot([left + 1.7] * 2, [bottom, bottom + 1], color="0.4", lw=0.8)
                continue
            _box(ax, left, bottom + 0.1, 3.4, 0.8, UPPER if k < len(own) else LOWER, PALE)
            text = text.replace("#", "i" if left < 1 else "j")
            ax.text(left + 1.7, bottom + 0.5, text, ha="center", va="center", size=8)
    middle = len(then) + 0.5
    _arrow(ax, (2.2, middle + 0.12), (7.8, middle + 0.12), "")
    _arrow(ax, (7.8, middle - 0.12), (2.2, middle - 0.12), "")
    ax.text(5.0, middle + 0.3, sent, ha="center", va="bottom", size=9)
    return fig


def flow(places: Mapping[str, tuple[float, float]], arrows: Collection[tuple[str, str]]) -> Figure:
    """Draw boxes, and arrows from one to another: what acts on what, or what bounds what.

    Parameters
    ----------
    places : dict
        From what a box says to its middle, from 0 to 10 across and from 0 to 6 up.
    arrows : collection of (str, str)
        From which box to which.
    """
    fig, ax = _empty(6.4, 3.4, (0, 10), (0, 6))
    for text, (x, y) in places.items():
        _box(ax, x - 1.35, y - 0.55, 2.7, 1.1, UPPER, PALE)
        ax.text(x, y, text, ha="center", va="center", size=8)
    for start, end in arrows:
        (x, y), (to_x, to_y) = places[start], places[end]
        part = min(1.35 / max(abs(to_x - x), 1e-9), 0.55 / max(abs(to_y - y), 1e-9))
        out = part * (to_x - x), part * (to_y - y)
        turned = (end, start) in arrows
        bend = {"connectionstyle": "arc3,rad=0.25"} if turned else {}
        _arrow(ax, (x + out[0], y + out[1]), (to_x - out[0], to_y - out[1]), "", **bend)
    return fig


def weights(W: NDArray[np.float64], ax: Axes) -> None:
    """Draw who hears whom: agents on a circle, at each link its weight.

    Parameters
    ----------
    W : ndarray
        Weights ``[N, N]``, symmetric.
    ax : Axes
        Where.
    """
    graph = nx.from_numpy_array(np.round(W - np.diag(np.diag(W)), 3))
    place = nx.circular_layout(graph)
    own = {i: f"{weight:.2g}" for i, weight in enumerate(np.diag(W).tolist())}
    nx.draw_networkx(
        graph, place, ax=ax, node_color=PALE, edgecolors=UPPER, edge_color="0.5", node_size=420,
        labels=own, font_size=8,
    )  # fmt: skip
    told = {(i, j): f"{W[i, j]:.2g}" for i, j in graph.edges}
    nx.draw_networkx_edge_labels(graph, place, told, ax=ax, font_size=7)
    ax.set_axis_off()
    ax.margins(0.15)


def _empty(
    width: float, height: float, x: tuple[float, float], y: tuple[float, float]
) -> tuple[Figure, Axes]:
    fig, ax = plt.subplots(figsize=(width, height))
    ax.set(xlim=x, ylim=y)
    ax.set_axis_off()
    return fig, ax


def _box(ax: Axes, x: float, y: float, width: float, height: float, edge: str, face: str) -> None:
    style = "round,pad=0,rounding_size=0.15"
    ax.add_patch(FancyBboxPatch((x, y), width, height, style, ec=edge, fc=face, lw=1.2))


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], text: str, **style: Any
) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "0.3", **style})
    middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.15
    ax.text(*middle, text, ha="center", va="bottom", size=8, color="0.3")
