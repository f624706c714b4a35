"""Numbers as users hand them in: whoever gives a NumPy number or a tensor of one gets it converted.

Everything that takes a number asks here, so that it is refused in the same words everywhere.
"""

from __future__ import annotations

import math
import re
from numbers import Real
from operator import index
from typing import Any


def whole(value: Any, name: str, least: int = 1) -> int:
    """Return a whole number as an int.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If it is less than ``least``, or more than 64 bits hold.
    """
    try:
        number = None if isinstance(value, bool) or "bool" in _kind(value) else index(value)
    except (RuntimeError, TypeError, ValueError):
        number = None
    if number is None:
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if not least <= number < 2**63:
        limit = f"at least {least}" if number < least else "below 2**63"
        raise ValueError(f"{name} must be {limit}, got {number}")
    return number


def real(value: Any, name: str, least: float = -math.inf, finite: bool = True) -> float:
    """Return a number as a float, by default a finite one.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If it is not finite, or less than ``least``.
    """
    if isinstance(value, bool) or not (isinstance(value, Real) or _is_one(value)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError(
            f"{name} is too large for a number of 64 bits; give a smaller one"
        ) from error
    except (RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a number, got {value!r}") from error
    if finite and not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    if number < least:
        raise ValueError(f"{name} must be at least {least:g}, got {number:g}")
    return number


def positive(value: Any, name: str) -> float:
    """Return a number above zero as a float; see `real` for the errors."""
    number = real(value, name)
    if number <= 0:
        raise ValueError(f"{name} must be positive, got {number:g}")
    return number


def _is_one(value: Any) -> bool:
    """Say whether a value is an array or a tensor of one number."""
    return getattr(value, "ndim", 1) == 0 and bool(
        re.search("(^|[.u])(int|float|bfloat)", _kind(value))
    )


def _kind(value: Any) -> str:
    return str(getattr(value, "dtype", ""))
