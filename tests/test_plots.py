"""Figures: a line for every method and graph, a band for the seeds."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from dsbo import Trace
from dsbo_book import plots


def traces():
    def one(method, graph, seed):
        rows = [{"step": k, "floats": 9 * k, "loss": 1 / (1 + k + seed)} for k in range(4)]
        told = {"method": method, "graph": graph, "rate": 0.2, "seed": seed}
        return Trace(rows, {"cell": told})

    return [one(m, g, s) for m, g in (("D-SOBA", "torus"), ("SOBA", "complete")) for s in (0, 1)]


def test_runs_that_differ_in_the_seed_alone_make_one_line_with_a_band():
    mpl.use("agg")
    plots.apply_style()
    fig = plots.overview(traces())
    (ax,) = fig.axes
    assert len(ax.lines) == 2
    assert len(ax.collections) == 2
    np.testing.assert_allclose(ax.lines[0].get_ydata()[0], (1 + 0.5) / 2)
    assert ax.lines[0].get_label() == "D-SOBA, torus, 20% bad labels"
    plt.close(fig)


def test_a_run_of_ones_own_can_be_plotted():
    mpl.use("agg")
    own = Trace([{"step": 0, "loss": 1.0}, {"step": 1, "loss": 0.5}], {"algorithm": {"name": "X"}})
    fig = plots.overview([own])
    assert fig.axes[0].lines[0].get_label() == "X"
    plots.slope(fig.axes[0], [1, 2], 1.0, -1, "slope -1")
    plt.close(fig)
    plt.close(plots.gallery(np.zeros((3, 4, 4)), ["a", "b", "c"], columns=2))
    plots.style()


def test_a_legend_says_the_edge_probability_of_a_random_graph():
    rows = [{"step": 0, "loss": 1.0}]
    told = [{"method": "DIAMOND", "edge": edge, "seed": 0} for edge in (0.3, 0.5)]
    fig = plots.overview([Trace(rows, {"cell": cell}) for cell in told])
    labels = [line.get_label() for line in fig.axes[0].lines]
    assert labels == ["DIAMOND, Erdős–Rényi 0.3", "DIAMOND, Erdős–Rényi 0.5"]
    plt.close(fig)


def test_a_legend_says_in_what_else_cells_differ():
    rows = [{"step": 0, "loss": 1.0}]
    told = [{"method": "SOBA", "alpha": a, "batch": 5, "seed": 0} for a in (0.1, 0.2)]
    fig = plots.overview([Trace(rows, {"cell": cell}) for cell in told])
    labels = [line.get_label() for line in fig.axes[0].lines]
    assert labels == ["SOBA, alpha 0.1", "SOBA, alpha 0.2"]
    plt.close(fig)
