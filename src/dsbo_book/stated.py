"""A claim as a reader sees it: a numbered box with a badge, and both sides as mathematics.

Four badges: *proved* is what SymPy showed for all values of the symbols, *numerical* what agrees up
to a bound, *checked* a truth value or a count, and *false, as it should be* a perturbed statement.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

import sympy as sp

from dsbo_book.prose import shell

__all__ = ["Claim", "formula"]

WIDTH = 52
WIDEST = 64
"""Characters of a formula that fit a line."""


@dataclass(frozen=True, repr=False)
class Claim:
    """What was claimed, and how it came out.

    Attributes
    ----------
    text : str
        The statement.
    kind : {"claim", "refuted"}
        Whether the two sides should agree or differ.
    how : {"proved", "numerical", "checked"}
        Whether the sides are symbols, numbers up to a bound, or truth values and counts.
    error : float or None
        Largest absolute difference; None where there is none (symbols, truth values, NaN).
    tol : float or None
        The tolerance, or for a refutation the margin; None for exact claims.
    ok : bool
        Whether it came out as stated.
    latex : str
        Both sides, if they are symbols and fit a line or two.
    number : int
        Counts the claims of a process, those of a page from 1.

    Examples
    --------
    >>> Claim("2 is even", "claim", "checked", None, None, True)
    ✓ 2 is even                                             checked
    """

    text: str
    kind: str
    how: str
    error: float | None
    tol: float | None
    ok: bool
    latex: str = ""
    number: int = 0

    @property
    def evidence(self) -> str:
        """How the two sides compare, in a few characters."""
        if self.error is None or self.tol is None:
            if not self.ok:
                return "not shown"
            return self.how if self.kind == "claim" else "false, as it should be"
        if self.kind == "claim":
            return f"|error| {self.error:.2g} {'<' if self.ok else '≥'} {self.tol:.2g}"
        return f"false: |error| {self.error:.2g} {'≥' if self.ok else '<'} {self.tol:.2g}"

    @property
    def mark(self) -> str:
        """✓ of what is so, ✗ of what is not, as it should be."""
        return "✓" if self.kind == "claim" else "✗"

    @property
    def badge(self) -> str:
        """The mark, and how the statement was checked."""
        number = self.kind == "claim" and self.error is not None
        mark = self.mark if self.ok else "failed:"
        return f"{mark} {f'{self.how}, ' if number else ''}{self.evidence}"

    def __repr__(self) -> str:
        return f"{self.mark if self.ok else 'failed:'} {self.text:<{WIDTH}}  {self.evidence}"

    def _repr_html_(self) -> str:
        text, badge = html.escape(self.text), html.escape(self.badge)
        name, kind = f"claim-{self.number}", self.how if self.kind == "claim" else "false"
        shown = f'<div class="math notranslate nohighlight">\\[{html.escape(self.latex)}\\]</div>'
        return (
            f'<div class="claim {kind}" id="{name}"><p><a href="#{name}">Claim {self.number}</a> '
            f'{text} <span class="badge">{badge}</span></p>{shown if self.latex else ""}</div>'
        )

    def _ipython_display_(self) -> None:
        """Show nothing at the end of a cell, unless it was made by hand: `claim` has shown it."""
        if not self.number:
            self.show()

    def show(self) -> None:
        """Display the box in a notebook, wherever in a cell the claim stands."""
        if shell() is not None:
            from IPython.display import display

            display({"text/plain": repr(self), "text/html": self._repr_html_()}, raw=True)


def formula(got: Any, want: Any, kind: str) -> str:
    """Return two symbolic sides as LaTeX, or nothing where they are too long to be read.

    Parameters
    ----------
    got, want : sympy.Expr, sympy.Matrix or number
        The sides.
    kind : {"claim", "refuted"}
        Whether they are equal or not.
    """
    if isinstance(got, sp.MatrixBase) and not getattr(want, "shape", ()) and want != 0:
        want = want * sp.ones(*got.shape)
    left, right = (sp.latex(sp.sympify(side)) for side in (got, want))
    sign = "=" if kind == "claim" else r"\neq"
    if left == right:
        if kind == "refuted":
            return ""
        return left if left != "0" and _width(left) <= WIDEST else ""
    if _width(left) + _width(right) <= WIDEST:
        return f"{left} {sign} {right}"
    if max(_width(left), _width(right)) <= WIDEST:
        return rf"\begin{{aligned}} & {left} \\ {sign}\; & {right} \end{{aligned}}"
    return ""


def _width(latex: str) -> int:
    """Return about how many characters the widest row is as it will be set."""
    return max(len(re.sub(r"\\[a-zA-Z]+|[{}^_\s]", "", row)) for row in latex.split(r"\\"))
