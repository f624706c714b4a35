"""A run that left the finite numbers."""

from __future__ import annotations

from typing import Any

from dsbo.algorithms import Algorithm
from dsbo.trace import Trace


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
    """

    def __init__(self, algorithm: Algorithm, step: int, variable: str, trace: Trace) -> None:
        self.algorithm, self.step, self.variable, self.trace = algorithm, step, variable, trace
        super().__init__(
            f"{type(algorithm).__name__} diverged: {variable} is not finite after step {step}. "
            f"The {len(trace.rows)} rows recorded so far are kept. {_remedy(algorithm, variable)}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.algorithm, self.step, self.variable, self.trace)


def _remedy(algorithm: Algorithm, variable: str) -> str:
    """Say which step to make smaller."""
    step = {"x": "alpha", "y": "beta", "z": "gamma"}.get(variable.rstrip("_"))
    if step not in algorithm.schedules:
        return f"Use smaller steps: {algorithm}"
    return (
        f"Use a smaller {step}, the step of {variable}, in {algorithm}; if that does not help, the "
        "lower level may not be convex in y: add a ridge"
    )
