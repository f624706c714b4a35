"""SymPy truth the chapters lean on: is it zero, and what are the eigenvalues.

>>> import sympy as sp
>>> x = sp.Symbol("x", real=True)
>>> is_zero(sp.cos(2 * x) - 2 * sp.cos(x) ** 2 + 1)
True
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import sympy as sp

__all__ = ["at_random", "is_zero"]

NONZERO = 1e-9


def is_zero(expr: Any) -> bool:
    """Say whether a SymPy expression, or every entry of a matrix, simplifies to zero.

    A value that is not zero at random points is refused at once; otherwise several
    simplifications are tried in turn. False therefore means *not shown to be zero*.

    Parameters
    ----------
    expr : sympy.Expr or sympy.Matrix
        What should vanish, free symbols allowed.

    Returns
    -------
    bool
        True only if some simplification gives exactly 0 in every entry.

    Examples
    --------
    >>> k = sp.Symbol("k", integer=True)
    >>> is_zero(sp.exp(2 * sp.pi * sp.I * k) - 1)
    True
    >>> is_zero(k - 1)
    False
    """
    if isinstance(expr, sp.MatrixBase):
        return all(is_zero(entry) for entry in expr)
    if isinstance(expr, sp.MatrixExpr):
        return bool(expr.is_ZeroMatrix or sp.simplify(expr.doit()).is_ZeroMatrix)
    expr = sp.sympify(expr)
    if expr == 0:
        return True
    value = at_random(expr)
    if value is not None and abs(value) > NONZERO:
        return False
    return any(step(expr) == 0 for step in SIMPLIFICATIONS)


def at_random(expr: Any, seed: int = 0) -> complex | None:
    """Evaluate an expression at a random point that fits its symbols' assumptions.

    Parameters
    ----------
    expr : sympy.Expr
        Scalar expression.
    seed : int, optional
        Of the point.

    Returns
    -------
    complex or None
        None where it has no number, for instance with an undefined function in it.

    Examples
    --------
    >>> at_random(sp.Symbol("n", integer=True, positive=True)).real >= 1
    True
    """
    draw = random.Random(seed)
    symbols = sorted(expr.free_symbols, key=str)
    try:
        return complex(sp.N(expr.subs({s: _value(s, draw) for s in symbols}).doit(), 30))
    except (TypeError, ValueError):
        return None


def _value(symbol: sp.Symbol, draw: random.Random) -> sp.Expr:
    if symbol.is_integer:
        return sp.Integer(draw.randint(1, 9))
    size = sp.Rational(draw.randint(11, 199), 100)
    if symbol.is_positive or symbol.is_nonnegative:
        return size
    if symbol.is_negative or symbol.is_nonpositive:
        return -size
    return draw.choice([1, -1]) * size


SIMPLIFICATIONS: tuple[Callable[[Any], Any], ...] = (
    sp.expand,
    sp.simplify,
    lambda e: sp.simplify(sp.expand(e, trig=True)),
    lambda e: sp.simplify(sp.expand(e.rewrite(sp.exp))),
    lambda e: sp.radsimp(sp.nsimplify(e)),
    lambda e: sp.simplify(sp.powsimp(sp.expand_log(e, force=True), force=True)),
)
