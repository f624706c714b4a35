"""One look for every figure: a colour means a method, a line style a graph, in the whole book."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from dsbo.algorithms import ALGORITHMS, SPARKLE, SingleLevelDSGD
from dsbo.trace import Trace
from dsbo_book.prose import shell

# All apart, also for readers who see no red or no green.
METHOD_COLOUR = {
    **{method.title: method.colour for method in ALGORITHMS},
    "D-SOBA-FO": "#62B7EF",
    "SPARKLE-ED": SPARKLE.colour,
    "SPARKLE-EXTRA": "#C09E64",
    "SPARKLE-GT": "#66AF9D",
    "unweighted": SingleLevelDSGD.colour,
    "clean only": "#3C150B",
}
GRAPH_STYLE: dict[str, Any] = {
    "complete": "-",
    "exponential": (0, (6, 1.5)),
    "torus": (0, (3, 1.5)),
    "hypercube": (0, (5, 1, 1, 1)),
    "ring": (0, (1.5, 1)),
    "adjusted ring": (0, (1, 1.2)),
    "star": (0, (4, 1, 1, 1, 1, 1)),
    "path": (0, (8, 2)),
    "Erdős–Rényi 0.5": (0, (3, 1.5)),
    "Erdős–Rényi 0.8": (0, (1, 1.2)),
}
GRAPH_SHADE = {"exponential": 0.15, "torus": 0.3, "ring": 0.45, "adjusted ring": 0.45}
"""How far a method's colour is lightened where several graphs share a panel."""
LABEL = {
    "step": "iterations",
    "floats": "numbers sent over all links",
    "oracle_calls": "oracle calls of an agent",
    "rounds": "rounds of messages",
    "seconds": "seconds",
    "upper_loss": "upper loss at x̄, ȳ",
    "test_accuracy": "test accuracy of ȳ",
    "auc": "AUC, finding bad labels",
    "consensus_x": "mean ‖xᵢ − x̄‖²",
    "consensus_y": "mean ‖yᵢ − ȳ‖²",
    "hypergradient": "‖∇Φ(x̄)‖",
    "distance": "‖x̄ − x*‖",
    "metric": "$\\mathfrak{M}$, sum of three terms",
    "stationarity": "‖∇Φ(x̄)‖²",
    "lower_gap": "sum of ‖yᵢ* − yᵢ‖²",
    "test_loss": "test loss of the yᵢ",
    "accuracy": "accuracy on queries",
    "left": "share of the way to J* left",
}
GREY = "#7f7f7f"
SHADES = ("#1F2937", "#7A8594")
"""Dark and light, of what is no method: a colour means one in the whole book."""
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1, 1, 1)))
"""Styles of lines that method and graph alone would draw alike."""
TITLES = {method.__name__: method.title for method in ALGORITHMS}


def style() -> None:
    """Set matplotlib's defaults to the book's look; call it once a page."""
    if shell() is not None:  # elsewhere it would start one
        inline = importlib.import_module("matplotlib_inline.backend_inline")
        inline.set_matplotlib_formats("svg")
    apply_style()


def apply_style() -> None:
    """Set sizes, fonts and spines, without touching how a notebook shows figures."""
    plt.rcParams.update(
        {
            "figure.figsize": (6.4, 3.2),
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 10,
            "axes.labelsize": 10,
            "font.size": 10,
            "legend.frameon": False,
            "legend.fontsize": 9,
            "lines.linewidth": 1.6,
            "svg.hashsalt": "dsbo",
        }
    )


def lines(
    ax: Axes,
    traces: Iterable[Trace],
    y: str,
    x: str = "step",
    label: Callable[[Mapping[str, Any]], str] | None = None,
    **kwargs: Any,
) -> None:
    """Draw one line for each method and graph: the mean over seeds, and a band to the extremes.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    traces : iterable of Trace
        With ``provenance["cell"]`` that says ``method`` and ``graph``, or ``edge``.
    y, x : str
        Columns.
    label : callable, optional
        Cell -> text in the legend; by default method, graph and what else tells lines apart.
    **kwargs
        Passed on to ``Axes.plot``.
    """
    groups = grouped(traces)
    texts = names([told for told, _ in groups])
    drawn = Counter[tuple[str, str]]()
    for (told, group), name in zip(groups, texts, strict=True):
        xs, values = stacked(group, x, y)
        text = label(told) if label else name
        alike = told["method"], told["graph"]
        style_of_line = {
            "color": shade(METHOD_COLOUR.get(alike[0], GREY), GRAPH_SHADE.get(alike[1], 0)),
            "linestyle": GRAPH_STYLE.get(alike[1], DASHES[drawn[alike] % len(DASHES)]),
            "label": text,
        } | kwargs
        drawn[alike] += 1
        ax.plot(xs, values.mean(0), **style_of_line)
        if len(values) > 1:
            band = {"color": style_of_line["color"], "alpha": 0.15, "linewidth": 0}
            ax.fill_between(xs, values.min(0), values.max(0), **band)
    ax.set(xlabel=LABEL.get(x, x), ylabel=LABEL.get(y, y))


def overview(
    traces: Sequence[Trace], x: str = "step", columns: Sequence[str] | None = None
) -> Figure:
    """Return a figure with one panel for every metric that all the traces recorded.

    Parameters
    ----------
    traces : sequence of Trace
        Of one experiment; runs with the same settings but the seed make one line.
    x : str
        Column for the horizontal axis.
    columns : sequence of str, optional
        Draw these columns alone.
    """
    known = {"step", "seconds", "rounds", "floats", "upper_grads", "lower_grads", "jvps", "hvps"}
    shared = set.intersection(*(set(trace.rows[0]) for trace in traces)) - known
    columns = columns or [name for name in traces[0].rows[0] if name in shared]
    rows = -(-len(columns) // 2)
    legend = 0.2 * -(-len(grouped(traces)) // 2)
    fig, axes = plt.subplots(rows, 2, figsize=(9, 2.8 * rows + legend), squeeze=False)
    for ax, column in zip(axes.flat, columns, strict=False):
        lines(ax, traces, column, x)
    for ax in axes.flat[len(columns) :]:
        ax.remove()
    handles, texts = axes.flat[0].get_legend_handles_labels()
    fig.legend(handles, texts, loc="outside lower center", ncols=2)
    return fig


def slope(ax: Axes, x: ArrayLike, y0: float, power: float, text: str) -> None:
    """Draw the thin grey line y0 · (x / x[0])^power that a theory predicts."""
    xs = np.asarray(x, dtype=float)
    ax.plot(xs, y0 * (xs / xs[0]) ** power, color=GREY, linewidth=0.8, zorder=0)
    ax.annotate(text, (xs[-1], y0 * (xs[-1] / xs[0]) ** power), color=GREY, fontsize=9)


def gallery(images: ArrayLike, titles: Sequence[str], columns: int = 8) -> Figure:
    """Return a figure of small grey images, each under its title.

    Parameters
    ----------
    images : array_like
        ``[n, height, width]``.
    titles : sequence of str
        One an image.
    columns : int
        Images in a row.
    """
    pictures = np.asarray(images)
    rows = -(-len(pictures) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(columns * 1.0, rows * 1.35), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, picture, title in zip(axes.flat, pictures, titles, strict=False):
        ax.imshow(picture, cmap="gray_r", interpolation="nearest")
        ax.set_title(title, fontsize=7)
    return fig


def grouped(traces: Iterable[Trace]) -> list[tuple[dict[str, Any], list[Trace]]]:
    """Return traces that differ in the seed alone together, with the cell they share."""

    def key(trace: Trace) -> str:
        told = trace.provenance.get("cell") or {
            k: repr(trace.provenance.get(k)) for k in ("algorithm", "problem", "network")
        }
        return repr(sorted((k, v) for k, v in told.items() if k != "seed"))

    kept = list(traces)
    order = list(dict.fromkeys(key(trace) for trace in kept))
    ordered = sorted(kept, key=lambda trace: order.index(key(trace)))
    pairs = [list(group) for _, group in groupby(ordered, key)]
    return [(cell_of(group[0]), group) for group in pairs]


def cell_of(trace: Trace) -> dict[str, Any]:
    """Return the cell of a study with its graph, or for a run of one's own its algorithm."""
    cell = trace.provenance.get("cell")
    if cell:
        graph = f"Erdős–Rényi {cell['edge']:g}" if "edge" in cell else ""
        return {"graph": graph, **cell}
    method = dict(trace.provenance.get("algorithm", {}))
    name = method.pop("name", "run")
    return {"method": TITLES.get(name, name), "graph": "", **method}


def names(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what a legend says of each cell; of those it would call alike, in what they differ."""
    texts = [", ".join(told_by(cell)) for cell in cells]
    for text in {text for text in texts if texts.count(text) > 1}:
        alike = [k for k, own in enumerate(texts) if own == text]
        keys = dict.fromkeys(key for k in alike for key in cells[k] if key != "seed")
        for key in keys:
            if len({repr(cells[k].get(key)) for k in alike}) > 1:
                for k in alike:
                    texts[k] += f", {key} {cells[k].get(key)}"
    return texts


def told_by(told: Mapping[str, Any]) -> list[str]:
    """Return what a legend says of a cell."""
    rate = [f"{told['rate']:.0%} bad labels"] if "rate" in told else []
    sparse = [f"sparse graph: {told['sparse']}"] if "sparse" in told else []
    return [word for word in (told["method"], told["graph"]) if word] + sparse + rate


def stacked(traces: Sequence[Trace], x: str, y: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the common column x ``[k]`` and the columns y ``[traces, k]``.

    Traces are cut to the shortest, so that a run that diverged still shows.
    """
    k = min(len(trace.rows) for trace in traces)
    for trace in traces:
        if x == "step" and (trace[x][:k] != traces[0][x][:k]).any():
            raise ValueError(
                f"runs that differ in the seed alone have rows at different steps, {trace[x][:k]} "
                f"and {traces[0][x][:k]}; make them with one every="
            )
    return traces[0][x][:k], np.stack([trace[y][:k] for trace in traces])


def shade(colour: str, amount: float) -> tuple[float, float, float]:
    """Return the colour, lightened by ``amount`` in [0, 1]."""
    r, g, b = (c + (1 - c) * amount for c in to_rgb(colour))
    return r, g, b


def ratios(ax: Axes, table: pd.DataFrame, shift: float = 0.0, **kwargs: Any) -> None:
    """Draw a dot with its interval for every row of paired ratios, and a line at 1.

    Parameters
    ----------
    ax : Axes
        Where to draw; the first row is on top, and the table's index says what the rows are.
    table : DataFrame
        Columns ``ratio``, ``low`` and ``high``, positive, as `compare.paired` returns them.
    shift : float
        How far below its row a dot is drawn, in rows, so that several tables share the rows.
    **kwargs
        Passed on to ``Axes.errorbar``.
    """
    rows = np.arange(len(table))
    spread = [table["ratio"] - table["low"], table["high"] - table["ratio"]]
    ax.axvline(1.0, color=GREY, linewidth=0.8, zorder=0)
    look: dict[str, Any] = {"fmt": "o", "markersize": 4, "linewidth": 1.2} | kwargs
    ax.errorbar(table["ratio"], rows + shift, xerr=spread, **look)
    texts = [key if isinstance(key, str) else ", ".join(map(str, key)) for key in table.index]
    ax.set(xscale="log", yticks=rows, yticklabels=texts, ylim=(len(table) - 0.5, -0.5))
