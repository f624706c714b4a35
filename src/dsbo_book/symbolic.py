"""SymPy truth the chapters lean on: is it zero, and what are the eigenvalues of weights.

>>> import sympy as sp
>>> x = sp.Symbol("x", real=True)
>>> is_zero(sp.cos(2 * x) - 2 * sp.cos(x) ** 2 + 1)
True
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

__all__ = [
    "at_random",
    "circulant_eigenvalue",
    "is_nonzero",
    "is_symbolic_size",
    "is_zero",
    "torus_eigenvalue",
    "with_numbers",
]

NONZERO = 1e-9
POINTS = 6
"""Random points at which what should vanish is looked at."""


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
    if is_symbolic_size(expr):
        if expr.is_ZeroMatrix or is_nonzero(expr):
            return bool(expr.is_ZeroMatrix)
        return bool(sp.simplify(expr.doit()).is_ZeroMatrix)
    expr = sp.sympify(expr)
    if expr == 0:
        return True
    values = (at_random(expr, seed) for seed in range(POINTS))
    if any(value is not None and abs(value) > NONZERO for value in values):
        return False
    return any(_vanishes(step, expr) for step in SIMPLIFICATIONS)


def is_nonzero(expr: Any) -> bool:
    """Say whether a SymPy expression, or an entry of a matrix, is not zero at a random point.

    Parameters
    ----------
    expr : sympy.Expr or sympy.Matrix
        Also a matrix of symbolic size, which gets two sizes and random entries.

    Returns
    -------
    bool
        False also where it has no finite number.

    Examples
    --------
    >>> n = sp.Symbol("n", integer=True, positive=True)
    >>> is_nonzero(sp.Identity(n)), is_nonzero(n - n)
    (True, False)
    """
    if is_symbolic_size(expr):
        numbers = (with_numbers(expr, seed) for seed in range(2))
        return any(is_nonzero(matrix) for matrix in numbers if matrix is not None)
    if isinstance(expr, sp.MatrixBase):
        return any(is_nonzero(entry) for entry in expr)
    value = at_random(sp.sympify(expr))
    return value is not None and NONZERO < abs(value) < float("inf")


def at_random(expr: Any, seed: int = 0) -> complex | None:
    """Evaluate an expression at a random point that fits its symbols' assumptions.

    Parameters
    ----------
    expr : sympy.Expr
        Scalar expression; matrices in it, as in a trace, get sizes and entries.
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
    if expr.has(sp.MatrixSymbol) and (expr := with_numbers(expr, seed)) is None:
        return None
    symbols = sorted(expr.free_symbols, key=str)
    try:
        return complex(sp.N(expr.subs({s: _value(s, draw) for s in symbols}).doit(), 30))
    except (TypeError, ValueError):
        return None


def is_symbolic_size(expr: Any) -> bool:
    """Say whether this is a matrix without entries of its own, as one of n rows.

    Examples
    --------
    >>> is_symbolic_size(sp.Identity(2)), is_symbolic_size(sp.eye(2))
    (True, False)
    """
    return isinstance(expr, sp.MatrixExpr) and not isinstance(expr, sp.MatrixBase)


def with_numbers(expr: Any, seed: int = 0) -> Any:
    """Return an expression with sizes from 2 on, and random real numbers as its matrices.

    Parameters
    ----------
    expr : sympy.MatrixExpr or sympy.Expr
        Of matrix symbols.
    seed : int, optional
        Of the entries; the sizes grow with their names for an even one and fall for an odd one,
        so that every matrix is once tall and once wide.

    Returns
    -------
    sympy.Matrix, sympy.Expr or None
        None where there is no number, as for the inverse of a singular matrix.

    Examples
    --------
    >>> n, p = sp.symbols("n p", integer=True, positive=True)
    >>> [with_numbers(sp.MatrixSymbol("A", n, p), seed).shape for seed in (0, 1)]
    [(2, 3), (4, 3)]
    """
    draw = random.Random(seed)
    lengths = {sp.sympify(k) for M in expr.atoms(sp.MatrixExpr) for k in M.shape}
    sizes = sorted({s for k in lengths for s in k.free_symbols}, key=str, reverse=seed % 2 == 1)
    expr = expr.subs({size: k for k, size in enumerate(sizes, start=2 + seed % 2)})
    numbers = {
        M: sp.ImmutableMatrix(*M.shape, lambda *_: sp.Rational(draw.randint(-99, 99), 10))
        for M in sorted(expr.atoms(sp.MatrixSymbol), key=str)
    }
    try:
        expr = expr.subs(numbers).doit()
        return sp.Matrix(expr) if isinstance(expr, sp.MatrixExpr) else expr
    except (TypeError, ValueError):
        return None


def circulant_eigenvalue(weights: Mapping[int, Any], N: Any, k: Any) -> Any:
    """Return the eigenvalue of a circulant matrix that belongs to the k-th Fourier vector.

        (W x)_i = sum_s weights[s] x_{i+s mod N},    x_i = exp(2 pi I i k / N)

    Parameters
    ----------
    weights : mapping of int to sympy.Expr
        Offset s to the weight an agent gives to the agent s steps ahead (behind if negative).
    N, k : sympy.Expr or int
        Number of agents and index 0, …, N-1 of the Fourier vector.

    Returns
    -------
    sympy.Expr
        In sines and cosines; the sines cancel where weights are symmetric.

    Examples
    --------
    >>> N, k = sp.symbols("N k", integer=True, positive=True)
    >>> half, quarter = sp.Rational(1, 2), sp.Rational(1, 4)
    >>> circulant_eigenvalue({-1: quarter, 0: half, 1: quarter}, N, k)
    cos(2*pi*k/N)/2 + 1/2
    """
    angle = 2 * sp.pi * sp.sympify(k) / N
    terms = [w * (sp.cos(s * angle) + sp.I * sp.sin(s * angle)) for s, w in weights.items()]
    total = sp.expand(sp.Add(*terms))
    return sp.collect(total, sorted(total.atoms(sp.cos, sp.sin), key=str))


def torus_eigenvalue(a: Any, b: Any, i: Any, j: Any) -> Any:
    """Return an eigenvalue of the a × b torus whose agents weigh themselves and four links equally.

    With C the two-sided shift of a ring, the weights are a Kronecker sum, so that products of
    Fourier vectors are eigenvectors and the eigenvalues of the two rings add up.

        W = (I + C_a ⊗ I + I ⊗ C_b) / 5

    Parameters
    ----------
    a, b : sympy.Expr or int
        Rows and columns, at least 2 each.
    i, j : sympy.Expr or int
        Indices 0, …, a-1 and 0, …, b-1.

    Returns
    -------
    sympy.Expr
        Real.

    Examples
    --------
    >>> torus_eigenvalue(4, 4, 2, 2)
    -3/5
    """
    shift = {1: sp.Integer(1), -1: sp.Integer(1)}
    return (1 + circulant_eigenvalue(shift, a, i) + circulant_eigenvalue(shift, b, j)) / 5


def _vanishes(step: Callable[[Any], Any], expr: Any) -> bool:
    try:
        return bool(step(expr) == 0)
    except (AttributeError, TypeError):  # a step that does not know traces, or sets
        return False


def _value(symbol: sp.Symbol, draw: random.Random) -> sp.Expr:
    if symbol.is_integer:
        return sp.Integer(draw.randint(1, 9))
    if not symbol.is_extended_real:  # a symbol without assumptions is complex
        return sp.Rational(draw.randint(-199, 199), 100) + sp.I * sp.Rational(
            draw.randint(-599, 599), 100
        )
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
    lambda e: sp.radsimp(sp.sqrtdenest(e)),
    lambda e: sp.simplify(sp.powsimp(sp.expand_log(e))),
)
