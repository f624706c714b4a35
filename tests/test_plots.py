"""Figures: a line for every method and graph, a band for the seeds."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from dsbo import DSOBA, Trace
from dsbo_book import plots

mpl.use("agg")


def traces():
    def one(method, graph, seed):
        rows = [{"step": k, "floats": 9 * k, "loss": 1 / (1 + k + seed)} for k in range(4)]
        told = {"method": method, "graph": graph, "rate": 0.2, "seed": seed}
        return Trace(rows, {"cell": told})

    return [one(m, g, s) for m, g in (("D-SOBA", "torus"), ("SOBA", "complete")) for s in (0, 1)]


def test_runs_that_differ_in_the_seed_alone_make_one_line_with_a_band():
    plots.apply_style()
    fig = plots.overview(traces())
    (ax,) = fig.axes
    assert len(ax.lines) == 2
    assert len(ax.collections) == 2
    np.testing.assert_allclose(ax.lines[0].get_ydata()[0], (1 + 0.5) / 2)
    assert ax.lines[0].get_label() == "D-SOBA, torus, 20% bad labels"
    plt.close(fig)


def test_a_run_of_ones_own_can_be_plotted():
    own = Trace([{"step": 0, "loss": 1.0}, {"step": 1, "loss": 0.5}], {"algorithm": {"name": "X"}})
    fig = plots.overview([own])
    assert fig.axes[0].lines[0].get_label() == "X"
    plots.slope(fig.axes[0], [1, 2], 1.0, -1, "slope -1")
    plt.close(fig)
    plt.close(plots.gallery(np.zeros((3, 4, 4)), ["a", "b", "c"], columns=2))
    plots.style()


@pytest.mark.parametrize(
    ("method", "differ", "said"),
    [
        ("DIAMOND", [{"edge": 0.3}, {"edge": 0.5}], ["Erdős–Rényi 0.3", "Erdős–Rényi 0.5"]),
        (
            "SOBA",
            [{"alpha": 0.1, "batch": 5}, {"alpha": 0.2, "batch": 5}],
            ["alpha 0.1", "alpha 0.2"],
        ),
    ],
)
def test_a_legend_says_in_what_cells_differ(method, differ, said):
    told = [{"method": method, "batch": 5, **cell, "seed": 0} for cell in differ]
    fig = plots.overview([Trace([{"step": 0, "loss": 1.0}], {"cell": cell}) for cell in told])
    assert [line.get_label() for line in fig.axes[0].lines] == [f"{method}, {s}" for s in said]
    plt.close(fig)


def test_runs_of_ones_own_by_different_methods_are_different_curves():
    def made(name, alpha, seed, steps=(0, 2, 4)):
        told = {"algorithm": {"name": name, "alpha": alpha}, "problem": {"name": "mine"}}
        rows = [{"step": t, "loss": float(t + seed)} for t in steps]
        return Trace(rows, told | {"seed": seed})

    traces = [
        made("DSOBA", 0.1, 0),
        made("DSOBA", 0.1, 1),
        made("DSOBA", 0.2, 0),
        made("SOBA", 1, 0),
    ]
    groups = plots.grouped(traces)
    assert [len(group) for _, group in groups] == [2, 1, 1]
    assert plots.names([cell for cell, _ in groups]) == [
        "D-SOBA, alpha 0.1",
        "D-SOBA, alpha 0.2",
        "SOBA",
    ]
    first, second, other = plots.overview(traces).axes[0].lines
    assert first.get_color() == second.get_color() == mpl.colors.to_rgb(DSOBA.colour)
    assert first.get_linestyle() == other.get_linestyle() == "-"
    assert second.get_linestyle() == "--"
    plt.close("all")
    with pytest.raises(ValueError, match="rows at different steps"):
        plots.stacked([made("SOBA", 1, 0), made("SOBA", 1, 1, (0, 3, 6))], "step", "loss")
