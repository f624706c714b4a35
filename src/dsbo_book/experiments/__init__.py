"""The experiments of the papers, one file a figure; their settings are data.

The table of what there is costs nothing; a figure's file is imported when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

__all__ = ["EXPERIMENTS", "Experiment"]


@dataclass(frozen=True)
class Experiment:
    """What the command line can run.

    Parameters
    ----------
    title : str
        One line.
    module : str
        Where it is.
    function : str
        Of the module: (settings, seeds or None) -> list of Job.
    table : str
        Of the module: settings by scale; ``quick`` and ``paper`` among them.
    """

    title: str
    module: str
    function: str = "jobs"
    table: str = "SCALES"

    @cached_property
    def jobs(self) -> Any:
        """The function."""
        return getattr(import_module(self.module), self.function)

    @cached_property
    def scales(self) -> Any:
        """The settings by scale."""
        return getattr(import_module(self.module), self.table)


def _figure(name: str, title: str, *where: str) -> Experiment:
    return Experiment(title, f"{__name__}.{name}", *where)


def _tuning(name: str) -> Experiment:
    return _figure(
        name, f"The runs that chose the steps of {name}, on held-out seeds", "tuning_jobs"
    )


EXPERIMENTS = {
    "cleaning": _figure(
        "cleaning",
        "D-SOBA cleans corrupted Fashion-MNIST over four graphs (Kong et al. 2025, Experiment 2)",
    ),
    "cleaning-tuning": _tuning("cleaning"),
    "logistic": _figure(
        "logistic",
        "D-SOBA tunes a logistic regression against MA-DSBO and MDBO (Kong et al. 2025, Exp. 1)",
    ),
    "logistic-tuning": _tuning("logistic"),
    "logistic-theta": _figure(
        "ablations",
        "D-SOBA with other weights of the moving average",
        "theta_jobs",
        "THETA_SCALES",
    ),
    "logistic-size": _figure(
        "ablations",
        "What the two variants of D-SOBA cost as d and p grow",
        "size_jobs",
        "SIZE_SCALES",
    ),
    "nonlinear": _figure(
        "nonlinear", "The transient of D-SOBA on a nonlinear problem, against centralised runs"
    ),
    "sparkle": _figure(
        "sparkle",
        "SPARKLE against D-SOBA: cleaning over a sparse graph, another graph for each level",
    ),
    "sparkle-tuning": _tuning("sparkle"),
    "complexity": _figure(
        "complexity", "The methods of the complexity tables: oracle calls against ‖∇Φ‖²"
    ),
    "complexity-tuning": _tuning("complexity"),
    "meta": _figure(
        "meta", "DIAMOND learns a common representation (Qiu et al. 2023, Figs 1 to 3)"
    ),
    "meta-tuning": _tuning("meta"),
    "a9a": _figure(
        "a9a",
        "DIAMOND tunes a regulariser on a9a (Qiu et al. 2023, Fig. 4)",
    ),
    "a9a-tuning": _tuning("a9a"),
}
