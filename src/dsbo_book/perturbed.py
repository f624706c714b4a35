"""A claim with its right side made wrong, which must not hold any longer.

A claim that holds as well with a wrong right side says nothing. `outcomes` tries every way of
`ways` in turn; `dsbo_book.claims` asks for it where ``DSBO_PERTURBED`` names a file.

>>> import numpy as np
>>> outcomes(np.array([1.0, 1.0]), lambda want: bool(np.all(abs(want - 1) < 0.6)))
{'sign': 'caught', 'factor 1.5': 'survives', 'one index': 'caught'}
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import sympy as sp

from dsbo_book.symbolic import is_symbolic_size, is_zero

__all__ = ["outcomes", "ways"]

SECONDS = 20.0
"""So long SymPy may look for a simplification; what it does not find by then is undecided."""
OUTCOMES = {True: "survives", False: "caught", None: "undecided"}
"""By whether the claim still holds."""
ROUNDING = 1e-13
"""Differences that are smaller, beside the largest entry, change nothing."""


def outcomes(want: Any, holds: Callable[[Any], bool]) -> dict[str, str]:
    """Say of every wrong right side how the claim takes it.

    Parameters
    ----------
    want : numpy.ndarray, sympy.Expr or sympy.Matrix
        The right side, of the shape of the left one.
    holds : callable
        Says whether the claim holds with another right side; a ValueError is a no.

    Returns
    -------
    dict of str to {"caught", "unchanged", "survives", "undecided"}
        By way. *Unchanged* is a right side that stays the same, such as zero with its sign turned.
    """
    found = {}
    for way, other in ways(want).items():
        if _same(want, other):
            found[way] = "unchanged"
        else:
            found[way] = OUTCOMES[_still(holds, other)]
    return found


def ways(want: Any) -> dict[str, Any]:
    """Return the right side with another sign, size, order and index; truth values negated.

    Examples
    --------
    >>> ways(np.array(3))
    {'sign': array(-3), 'plus one': array(4), 'one index': array(6)}
    >>> ways(sp.Symbol("x"))
    {'sign': -x, 'factor 1.5': 3*x/2, 'one index': 2*x}
    """
    if isinstance(want, np.ndarray) and want.dtype.kind == "b":
        return {"truth": ~want}
    if isinstance(want, np.ndarray) and want.dtype.kind in "iu":
        want = want.astype(np.int64)
        found = {"sign": np.asarray(-want), "plus one": np.asarray(want + 1)}
    elif isinstance(want, np.ndarray):
        found = {"sign": np.asarray(-want), "factor 1.5": np.asarray(1.5 * want)}
    else:
        found = {"sign": -want, "factor 1.5": want * sp.Rational(3, 2)}
    if is_symbolic_size(want):
        more = sp.OneMatrix(*want.shape) if want.is_ZeroMatrix else want
        return found | {"one index": want + more}
    shape: tuple[int, ...] = getattr(want, "shape", ())
    if len(shape) > 1 and shape[-1] == shape[-2] > 1:
        found["transposed"] = want.T if isinstance(want, sp.MatrixBase) else want.swapaxes(-1, -2)
    return found | {"one index": _one_index(want)}


def _one_index(want: Any) -> Any:
    """Return the entries moved on by one, or where that changes nothing, one entry twice as large.

    An entry that is zero becomes one.
    """
    if not isinstance(want, np.ndarray):
        if not isinstance(want, sp.MatrixBase):
            return want + (1 if want == 0 else want)
        entries = _one_index(np.array(want.tolist(), dtype=object))
        return sp.Matrix(*want.shape, list(entries.flat))
    long = [axis for axis, length in enumerate(want.shape) if length > 1]
    moved = np.roll(want, 1, long[-1]) if long else want
    if not _same(want, moved):
        return moved
    changed = want.copy()
    first = changed.flat[0]
    changed.flat[0] = first + (1 if first == 0 else first)
    return changed


def _same(want: Any, other: Any) -> bool:
    if not isinstance(want, np.ndarray):
        return bool(_still(lambda side: is_zero(side - want), other))
    if want.dtype.kind not in "fc":
        return bool(np.array_equal(want, other))
    return bool(np.abs(want - other).max() <= ROUNDING * np.abs(want).max())


def _still(holds: Callable[[Any], bool], other: Any) -> bool | None:
    try:
        with _at_most(SECONDS):
            return holds(other)
    except ValueError:
        return False
    except _TooLateError:
        return None


class _TooLateError(BaseException):
    """Not an Exception, which SymPy would take for an answer."""


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise _TooLateError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
