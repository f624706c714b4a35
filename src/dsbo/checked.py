"""Numbers as users hand them in: whoever gives a NumPy number or a tensor of one gets it converted.

Everything that takes a number asks here, so that it is refused in the same words everywhere.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np


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
        number: int = value.__index__()
    except (AttributeError, TypeError, ValueError):
        number = True
    if isinstance(value, bool) or isinstance(number, bool):
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if not least <= number < 2**63:
        limit = f"at least {least}" if number < least else "below 2**63"
        raise ValueError(f"{name} must be {limit}, got {number}")
    return number


def real(value: Any, name: str, least: float = -math.inf) -> float:
    """Return a finite number as a float.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If it is not finite, or less than ``least``.
    """
    one = getattr(value, "ndim", 1) == 0 and "complex" not in str(value.dtype)
    if isinstance(value, bool | np.bool_) or not (isinstance(value, Real) or one):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a number, got {value!r}") from error
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    if number < least:
        raise ValueError(f"{name} must be at least {least:g}, got {number:g}")
    return number
