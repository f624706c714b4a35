"""Pictures that move without a script: dots over a figure, by rules of CSS inside one SVG.

A reader holds them still by a tick; where motion is not wanted they show the end.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike

__all__ = ["Dots", "Moving", "moving"]

MOVES = 85
"""Of a hundred parts of the time; then the end is held."""
RULES = """\
.moving circle { animation-timing-function: linear; animation-iteration-count: infinite; }
.moving:has(input:checked) circle { animation-play-state: paused; }
@media (prefers-reduced-motion: reduce) { .moving circle { animation: none !important; } }"""


class Dots(NamedTuple):
    """Dots that move over a panel.

    Parameters
    ----------
    ax : Axes
        The panel.
    x, y : array_like
        ``[frames, n]``, in units of its axes.
    colours : sequence of colours
        One a dot, or one for all.
    """

    ax: Axes
    x: ArrayLike
    y: ArrayLike
    colours: Sequence[ColorType] = ("black",)


class Moving(NamedTuple):
    """A moving picture, as a notebook shows it.

    Parameters
    ----------
    markup : str
        HTML.
    caption : str
    """

    markup: str
    caption: str

    def __repr__(self) -> str:
        return f"(moving picture) {self.caption}"

    def _repr_html_(self) -> str:
        return self.markup


def moving(
    fig: Figure, dots: Sequence[Dots], alt: str, caption: str, seconds: float = 8.0
) -> Moving:
    """Return a figure over which dots move, again and again; the figure is closed.

    Parameters
    ----------
    fig : Figure
        What stands still.
    dots : sequence of Dots
    alt, caption : str
        What is seen, for those who do not see it, and the finding.
    seconds : float
        For one pass.

    Raises
    ------
    ValueError
        If x and y of dots have shapes that do not fit, or a dot has no place in a frame.
    """
    fig.canvas.draw()
    circles: list[str] = []
    rules = [RULES]
    still = _inline(fig)
    told = [(np.asarray(xs).tolist(), np.asarray(ys).tolist()) for _, xs, ys, _ in dots]
    name = "m" + hashlib.sha256(still.encode() + repr(told).encode()).hexdigest()[:8]
    # Names are one page's own; two pictures of it must not share them.
    still = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", still)
    for ax, xs, ys, colours in dots:
        x, y = np.broadcast_arrays(np.asarray(xs, float), np.asarray(ys, float))
        at = ax.transData.transform(np.stack([x, y], -1).reshape(-1, 2)) * 72 / fig.dpi
        at[:, 1] = fig.get_figheight() * 72 - at[:, 1]
        if not np.isfinite(at).all():
            raise ValueError("a dot is at NaN or infinity; give it a place in every frame")
        frames = at.reshape(*x.shape, 2).round(1)
        for k, path in enumerate(np.moveaxis(frames, 1, 0)):
            own = f"{name}-{len(circles)}"
            steps = [f"translate:{left:g}px {top:g}px" for left, top in path]
            times = np.linspace(0, MOVES, len(steps))
            keys = "".join(f"{t:.4g}%{{{s}}}" for t, s in zip(times, steps, strict=True))
            rules.append(f"@keyframes {own} {{{keys}100%{{{steps[-1]}}}}}")
            colour = to_hex(colours[k % len(colours)])
            circles.append(
                f'<circle r="3.2" fill="{colour}" '
                f'style="{steps[-1]}; animation-name: {own}; animation-duration: {seconds:g}s"/>'
            )
    plt.close(fig)
    picture = still.replace("<svg ", f'<svg role="img" aria-label="{html.escape(alt)}" ', 1)
    picture = picture.replace("</svg>", "".join(circles) + "</svg>")
    style = "\n".join(rules)
    return Moving(
        f'<figure class="moving"><style>{style}</style><label><input type="checkbox"> '
        f"hold still</label>{picture}<figcaption>{html.escape(caption)}</figcaption></figure>",
        caption,
    )


def _inline(fig: Figure) -> str:
    """Return the figure as an SVG element, as wide as there is room for."""
    file = io.StringIO()
    fig.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg ") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>", "", text, flags=re.DOTALL)
    width = fig.get_figwidth() * 72
    look = f"width: 100%; max-width: {width:g}pt; stroke-linejoin: round; stroke-linecap: butt"
    return re.sub(r' width="[^"]*pt"', f' style="{look}"', text, count=1).replace(
        f' height="{fig.get_figheight() * 72:g}pt"', "", 1
    )
