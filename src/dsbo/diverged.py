"""A run that left the finite numbers."""

from __future__ import annotations

from typing import Any

from dsbo.algorithms import Algorithm
from dsbo.trace import Trace

LONG = 100
"""After so many iterations a step was not too large for the start."""


class Diverged(RuntimeError):
    """A variable became infinite or NaN. Nothing recorded before is lost.

    Attributes
    ----------
    step : int
        The iteration, counted from 1, after which ``variable`` was not finite.
    variable : str
        Name of the variable in the algorithm's State.
    trace : Trace
        The rows so far, and the last finite state.
    lowest : float
        Smallest curvature found of the lower level at the start, if it is negative, else 0.
    """

    def __init__(
        self, algorithm: Algorithm, step: int, variable: str, trace: Trace, lowest: float
    ) -> None:
        self.algorithm, self.step, self.variable, self.trace = algorithm, step, variable, trace
        self.lowest = lowest
        super().__init__(
            f"{type(algorithm).__name__} diverged: {variable} is not finite after step {step}. "
            f"The {len(trace.rows)} rows recorded so far are kept. "
            f"{_remedy(algorithm, variable, lowest, step)}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.algorithm, self.step, self.variable, self.trace, self.lowest)


def _remedy(algorithm: Algorithm, variable: str, lowest: float, after: int) -> str:
    """Say which step to make smaller, unless no step can help."""
    step = {"x": "alpha", "y": "beta", "z": "gamma"}.get(variable.rstrip("_"))
    if step not in algorithm.schedules:
        how = f"Use smaller steps: {algorithm}"
    else:
        how = f"Use a smaller {step}, the step of {variable}, in {algorithm}"
    if lowest < 0:
        how += (
            f". At the start the lower level has curvature {lowest:.3g} along a direction, against "
            f"which no step helps: add a ridge above {-lowest / 2:.3g}"
        )
    elif after > LONG and step in ("beta", "gamma") and "alpha" in algorithm.schedules:
        bound = ", or run(…, project=…) to keep x where it does not" * algorithm.projectable
        how += (
            f". All went well for {after - 1} iterations, so x may have moved to where the lower "
            f"level curves more: then take a smaller alpha, the step of x{bound}"
        )
    return how
