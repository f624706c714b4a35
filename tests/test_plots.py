"""Figures: a line for every method and graph, a band for the seeds."""

import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from contents import BOOK
from IPython import get_ipython

from dsbo import DSOBA, Trace, graphs, mixing
from dsbo_book import plots, schematics

mpl.use("agg")
CSS = BOOK / "_static/custom.css"


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
    assert get_ipython() is None, "it must not start a shell, which shows claims"


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


SEEN = {
    "all colours": np.eye(3),
    "no red": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "no green": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}
"""What of linear red, green and blue is seen (Machado, Oliveira and Fernandes 2009)."""
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


TURNED = [[-0.574, 1.43, 0.144], [0.426, 0.43, 0.144], [0.426, 1.43, -0.856]]
"""What ``hue-rotate(180deg)`` makes of red, green and blue."""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("seen", SEEN)
def test_every_method_has_a_colour_of_its_own_whatever_its_reader_sees(seen, theme):
    colours = sorted({*plots.METHOD_COLOUR.values()})
    twins = {("SPARKLE", "SPARKLE-ED"), ("DSGD", "unweighted")}  # two names of one method
    assert len(colours) == len(plots.METHOD_COLOUR) - len(twins)
    rgb = np.array([mpl.colors.to_rgb(colour) for colour in colours])
    if theme == "dark":
        assert "filter: invert(1) hue-rotate(180deg)" in CSS.read_text("utf-8")
        rgb = np.clip((1 - rgb) @ np.transpose(TURNED), 0, 1)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    ratio = np.clip(linear @ np.transpose(SEEN[seen]), 0, 1) @ TO_XYZ.T / TO_XYZ.sum(1)
    cubes = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    x, y, z = cubes.T
    lab = np.stack([116 * y, 500 * (x - y), 200 * (y - z)], axis=1)
    apart = np.linalg.norm(lab[:, None] - lab, axis=-1) + 1e3 * np.eye(len(lab))
    assert apart.min() > 10


MADE_UP = re.compile(
    r"""#(?!(..)\1\1)[0-9a-fA-F]{6}\b"""  # that is no grey
    r"""|cmap=["'](?!Greys)"""
    r"""|(?:c|color|colors|ec|fc)=f?["'](?:tab:\w+|C[\d{]|red|blue|green|orange|[rgbcmy])["']"""
)


def test_no_page_draws_in_a_colour_that_it_makes_up():
    texts = {page.name: page.read_text("utf-8") for page in BOOK.glob("*.md")}
    assert [name for name, text in texts.items() if MADE_UP.search(text)] == []
    assert MADE_UP.search('ax.plot(x, color="#5193E2")')
    assert not MADE_UP.search('ax.plot(x, color="#666666")')


def test_the_drawings_name_both_agents_and_every_weight():
    fig = schematics.iteration(["draw $x_#$", "step"], "$x$", ["average"])
    told = [text.get_text() for text in fig.axes[0].texts]
    assert {"draw $x_i$", "draw $x_j$", "$x$"} <= {*told}
    assert told.count("average") == 2
    fig, ax = plt.subplots()
    schematics.weights(mixing.metropolis(graphs.star(4)), ax)
    told = [text.get_text() for text in ax.texts]
    assert (told.count("0.25"), told.count("0.75")) == (4, 3)
    assert schematics.levels().axes
    places = {"first": (1.5, 1), "second": (8, 5)}
    (ax,) = schematics.flow(places, [("first", "second"), ("second", "first")]).axes
    assert {text.get_text() for text in ax.texts} == {"first", "second", ""}


def test_a_dot_with_its_interval_stands_for_every_row_of_paired_ratios():
    told = {"ratio": [0.5, 2.0], "low": [0.4, 1.5], "high": [0.7, 3.0]}
    index = pd.MultiIndex.from_tuples([("a9a", "mild"), ("a9a", "severe")])
    fig, ax = plt.subplots()
    plots.ratios(ax, pd.DataFrame(told, index=index), shift=0.2, color="red")
    (drawn,) = ax.containers
    assert drawn.lines[0].get_color() == "red"
    np.testing.assert_allclose(drawn.lines[0].get_xydata(), [[0.5, 0.2], [2.0, 1.2]])
    ends = [segment[:, 0] for segment in drawn.lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, [[0.4, 0.7], [1.5, 3.0]])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a9a, mild", "a9a, severe"]
    top, bottom = ax.transData.transform([[1.0, 0.0], [1.0, 1.0]])[:, 1]
    assert top > bottom
    assert ax.get_xscale() == "log"
    plt.close(fig)
