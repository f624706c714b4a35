"""A page may state something only if it checks it: ``claim`` and its opposite ``refuted``.

``claim`` passes if two sides agree, ``refuted`` if a perturbed identity misses by a stated margin,
so that a reader sees that the check can fail. Both return a `Claim`, which a notebook shows in a
box wherever in a cell it stands, and raise `ClaimError` otherwise. Where the environment variable
``DSBO_CLAIMS`` names a file, each claim, passed or not, is appended to it as one line of JSON;
``DSBO_PERTURBED`` names one for what `dsbo_book.perturbed` finds. With ``DSBO_CLAIMS_GO_ON``
nothing is raised.

>>> claim("one third, three times", 3 * (1 / 3), 1.0, tol=1e-12)
✓ one third, three times                                |error| 0 < 1e-12
"""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp
import torch
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanAtom

from dsbo_book import perturbed
from dsbo_book.stated import Claim, formula
from dsbo_book.symbolic import is_nonzero, is_symbolic_size, is_zero

__all__ = ["ClaimError", "claim", "refuted"]


_numbers = itertools.count(1)


class ClaimError(AssertionError):
    """A claim that does not hold, or a refutation that does not refute."""


def claim(text: str, got: Any, want: Any = True, tol: float | None = None) -> Claim:
    """State that `got` is `want`, and raise if it is not.

    Parameters
    ----------
    text : str
        The statement, as the reader should see it.
    got, want : float, array_like, torch.Tensor, sympy.Expr, sympy.Matrix, bool or int
        The two sides, of equal shape; a scalar `want` stands for every entry. SymPy sides, also
        matrices of symbolic size, must have a difference that simplifies to zero; truth values and
        integers must be equal.
    tol : float, optional
        Positive bound on the largest absolute difference, smaller than the largest ``|want|``
        unless that is 0. Required for floats; with it, SymPy numbers are compared as floats.

    Returns
    -------
    Claim
        With ``ok=True``.

    Raises
    ------
    ClaimError
        If the sides differ, or one of them is not finite.
    ValueError
        If the claim itself is faulty: no or a useless tolerance, or unequal shapes.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> claim("a binomial formula", (x - 1) * (x + 1), x**2 - 1)
    ✓ a binomial formula                                    proved
    """
    result = _claimed(text, got, want, tol)
    if tol is not None and 0 < (size := float(np.abs(_array(want)).max())) <= tol:
        raise ValueError(
            f"tol = {tol:.3g} is as large as want itself (|want| <= {size:.3g}), so the claim "
            "says nothing; give a smaller tol"
        )
    if result.ok and (path := os.environ.get("DSBO_PERTURBED")):
        side = _filled(got, want, tol)
        found = perturbed.outcomes(side, lambda other: _claimed(text, got, other, tol).ok)
        _append(path, {"text": text, "perturbed": found})
    return _settle(result, got, want)


def refuted(text: str, got: Any, want: Any = True, margin: float | None = None) -> Claim:
    """State that `got` is not `want`, and raise if it is, or nearly is.

    Parameters
    ----------
    text : str
        The perturbed statement.
    got, want : float, array_like, torch.Tensor, sympy.Expr, sympy.Matrix, bool or int
        As for `claim`. SymPy sides must differ at a random point that fits their symbols. Matrix
        symbols stand for any matrix, so write H for H.T first where H is to be symmetric.
    margin : float, optional
        Positive least size of the largest absolute difference. Required for floats.

    Returns
    -------
    Claim
        With ``ok=True``.

    Raises
    ------
    ClaimError
        If the sides differ by less than the margin, or one of them is not finite.
    ValueError
        If the margin is missing or not positive, or the shapes differ.

    Examples
    --------
    >>> refuted("the mean of inverses is the inverse of the mean", 0.75, 2 / 3, margin=0.05)
    ✗ the mean of inverses is the inverse of the mean       false: |error| 0.083 ≥ 0.05
    """
    if margin is None and _symbolic(got, want):
        return _settle(
            Claim(text, "refuted", "proved", None, None, is_nonzero(_difference(got, want))),
            got,
            want,
        )
    if margin is None and _exact(got, want):
        return _settle(
            Claim(text, "refuted", "checked", None, None, not _equal(got, want)), got, want
        )
    bound = _positive(margin, "margin", "refuted(…, margin=0.1)")
    error = _compare(got, want)
    ok = error is not None and error >= bound
    return _settle(Claim(text, "refuted", "numerical", error, bound, ok), got, want)


def _claimed(text: str, got: Any, want: Any, tol: float | None) -> Claim:
    if tol is None and _symbolic(got, want):
        return Claim(text, "claim", "proved", None, None, is_zero(_difference(got, want)))
    if tol is None and _exact(got, want):
        return Claim(text, "claim", "checked", None, None, _equal(got, want))
    bound = _positive(tol, "tol", "claim(…, tol=1e-8)")
    error = _compare(got, want)
    return Claim(text, "claim", "numerical", error, bound, error is not None and error < bound)


def _filled(got: Any, want: Any, tol: float | None) -> Any:
    """Return the right side of a claim that holds in the shape of the left one."""
    if tol is None and _symbolic(got, want):
        if _shape(want):
            return want if is_symbolic_size(want) else sp.Matrix(want)
        if is_symbolic_size(got):
            return sp.ZeroMatrix(*got.shape)
        return want * sp.ones(*got.shape) if _shape(got) else sp.sympify(want)
    side = np.broadcast_to(_array(want), _array(got).shape)
    return np.array(side if tol is None else side * 1.0)


def _append(path: str, record: dict[str, Any]) -> None:
    """Append a line in one write, since pages executed side by side share the file."""
    keys = {"page": "DSBO_PAGE", "section": "DSBO_SECTION"}
    place = {key: os.environ[name] for key, name in keys.items() if os.environ.get(name)}
    line = json.dumps({**place, **record}, ensure_ascii=False, allow_nan=False) + "\n"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def _settle(result: Claim, got: Any, want: Any) -> Claim:
    """Record a claim and show it, then return it, or raise."""
    shown = formula(got, want, result.kind) if result.how == "proved" else ""
    result = replace(result, latex=shown, number=next(_numbers))
    if path := os.environ.get("DSBO_CLAIMS"):
        _append(path, vars(result))
    if result.ok:
        result.show()
    if result.ok or os.environ.get("DSBO_CLAIMS_GO_ON"):
        return result
    if result.error is None:
        verb = "differs from" if result.kind == "claim" else "does not clearly differ from"
        if result.tol is not None:
            verb = "is not finite, or not against"
        raise ClaimError(f"failed: {result.text}: got {_short(got)} {verb} want {_short(want)}")
    raise ClaimError(f"{result}; got {_short(got)}, want {_short(want)}")


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else text[:197] + "…"


def _symbolic(*sides: Any) -> bool:
    kinds = (sp.Basic, sp.MatrixBase)
    return any(isinstance(s, kinds) and not isinstance(s, BooleanAtom) for s in sides)


def _difference(got: Any, want: Any) -> Any:
    truths = (bool, np.bool_, BooleanAtom, Relational)
    if isinstance(got, truths) or isinstance(want, truths):
        raise ValueError(f"got {_short(got)} is not compared with want {_short(want)}; give want=…")
    shape, other = _shape(got), _shape(want)
    if 0 in shape:
        raise ValueError("there is nothing to compare: got is empty")
    if other == () and is_symbolic_size(got) and want == 0:
        want = sp.ZeroMatrix(*shape)
    elif other == () and isinstance(got, sp.MatrixBase):
        want = want * sp.ones(*shape)
    elif [sp.expand(length) for length in shape] != [sp.expand(length) for length in other]:
        raise ValueError(f"got has shape {shape}, want {other}; compare like with like")
    if not (is_symbolic_size(got) and is_symbolic_size(want)):
        got, want = map(sp.Matrix if shape else sp.sympify, (got, want))
    if got.has(sp.Float) or want.has(sp.Float):
        raise ValueError("floats are equal up to a bound; give tol=… or margin=…, or sp.Rational")
    return sp.expand(got - want) if is_symbolic_size(got) else got - want


def _shape(side: Any) -> tuple[Any, ...]:
    return np.shape(side) if isinstance(side, list) else tuple(getattr(side, "shape", ()))


def _exact(got: Any, want: Any) -> bool:
    """Say whether both sides are truth values or integers, which need no tolerance."""
    return all(_array(side).dtype.kind in "biu" for side in (got, want))


def _equal(got: Any, want: Any) -> bool:
    a, b = _array(got), _array(want)
    if (a.dtype.kind == "b") != (b.dtype.kind == "b"):
        raise ValueError(f"got {_short(got)} is not compared with want {_short(want)}; give want=…")
    _require_shapes(a, b)
    return bool(np.all(a == b))


def _compare(got: Any, want: Any) -> float | None:
    """Return the largest |got - want|, None if one is not finite."""
    a, b = _array(got), _array(want)
    if a.dtype.kind == "b" or b.dtype.kind == "b":
        raise ValueError(
            "a truth value needs neither tol nor margin; give numbers, or leave it out"
        )
    _require_shapes(a, b)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    # Small types wrap around: 5 - 250 is 11 in eight bits without a sign.
    wide = np.clongdouble if "c" in a.dtype.kind + b.dtype.kind else np.longdouble
    largest = np.abs(a.astype(wide) - b.astype(wide)).max()
    return float(min(largest, np.finfo(float).max))  # a record holds finite numbers


def _array(side: Any) -> Any:
    if isinstance(side, torch.Tensor):
        side = side.detach().cpu()
        side = side.double() if side.is_floating_point() else side
        return side.resolve_conj().numpy()
    if isinstance(side, BooleanAtom):
        return np.asarray(bool(side))
    if isinstance(side, (sp.MatrixBase, sp.Basic)):
        if side.free_symbols:
            raise ValueError(f"{_short(side)} has symbols, which need neither tol nor margin")
        if isinstance(side, (sp.MatrixBase, sp.MatrixExpr)):
            return np.array(sp.N(sp.Matrix(side), 20).tolist(), dtype=complex)
        return np.asarray(complex(sp.N(side, 20)))
    array = np.asarray(side)
    if array.dtype.kind not in "biufc":
        raise ValueError(
            f"cannot compare {_short(side)}; give numbers, or sympy.Matrix for symbols"
        )
    return array


def _require_shapes(a: Any, b: Any) -> None:
    if b.shape not in ((), a.shape):
        raise ValueError(f"got has shape {a.shape}, want {b.shape}; compare like with like")
    if a.size == 0:
        raise ValueError("there is nothing to compare: got is empty")


def _positive(value: float | None, name: str, example: str) -> float:
    if value is None:
        raise ValueError(f"floats are equal up to a {name}; give one: {example}")
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} = {value} is not a positive number; give one: {example}")
    return float(value)
