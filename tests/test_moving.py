"""Pictures that move: where the dots are, and that no script is needed."""

import re
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from dsbo_book.moving import Dots, moving

mpl.use("agg")
X, Y = [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]], [[0.0, 0.5], [1.0, 0.5], [1.0, 0.5]]


def picture(title=""):
    fig, ax = plt.subplots(figsize=(5, 2))
    ax.set(xlim=(0, 1), ylim=(0, 1), position=(0.2, 0.25, 0.5, 0.5), title=title)
    return moving(fig, [Dots(ax, X, Y)], alt="two <dots>", caption="a & b")


def test_dots_are_where_the_axes_would_draw_them_in_every_frame_and_rest_at_the_last():
    before = plt.get_fignums()
    markup = picture()._repr_html_()
    assert plt.get_fignums() == before
    places = [
        [(float(a), float(b)) for a, b in re.findall(r"translate:([\d.]+)px ([\d.]+)px", rule)]
        for rule in re.findall(r"@keyframes \S+ {(.*)}", markup)
    ]
    wanted = np.stack([72 + 180 * np.array(X), 144 - 36 - 72 * np.array(Y)], -1)
    for k, found in enumerate(places):
        assert found == [*map(tuple, wanted[:, k].tolist()), tuple(wanted[-1, k])]
    assert len(places) == 2
    resting = re.findall(r'style="translate:([\d.]+)px ([\d.]+)px; animation', markup)
    assert [(float(a), float(b)) for a, b in resting] == [*map(tuple, wanted[-1].tolist())]


def test_a_moving_picture_is_one_element_that_can_be_held_and_needs_no_script():
    markup = picture()._repr_html_()
    element = ElementTree.fromstring(markup.replace('type="checkbox">', 'type="checkbox"/>'))
    assert element.tag == "figure"
    assert "script" not in markup.lower()
    assert "prefers-reduced-motion: reduce" in markup
    assert "animation-play-state: paused" in markup
    (svg,) = element.iter("{http://www.w3.org/2000/svg}svg")
    assert svg.get("aria-label") == "two <dots>"
    assert "".join(next(element.iter("figcaption")).itertext()) == "a & b"
    assert repr(picture()) == "(moving picture) a & b"


def test_two_pictures_of_a_page_share_no_names():
    names = [set(re.findall(r'id="([^"]+)"', picture(title).markup)) for title in ("one", "two")]
    assert all(names)
    assert not set.intersection(*names)
    for title in ("one", "two"):
        markup = picture(title).markup
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', markup))
        assert used <= set(re.findall(r'id="([^"]+)"', markup))


def test_a_dot_without_a_place_is_refused():
    fig, ax = plt.subplots()
    with pytest.raises(ValueError, match="shape"):
        moving(fig, [Dots(ax, [[0.0, 1.0, 2.0]], [[0.0, 1.0]])], alt="", caption="")
    with pytest.raises(ValueError, match="NaN or infinity"):
        moving(fig, [Dots(ax, [[0.0], [np.nan]], [[0.0], [1.0]])], alt="", caption="")
    plt.close("all")


def test_pictures_of_many_dots_that_differ_in_one_share_no_names():
    still = np.zeros((60, 30))
    moved = still.copy()
    moved[30, 15] = 0.5
    names = []
    for x in (still, moved):
        with mpl.rc_context({"svg.hashsalt": "the same"}):
            fig, ax = plt.subplots()
            markup = moving(fig, [Dots(ax, x, still)], alt="", caption="").markup
        names.append(set(re.findall(r"@keyframes (\S+)", markup)))
    assert not set.intersection(*names)
