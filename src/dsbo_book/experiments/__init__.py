"""The experiments of the papers, one file a figure; an experiment is data, a `Study` a scale.

The table of what there is costs nothing; a figure's file is imported when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsbo_book.experiments.study import Study

__all__ = ["EXPERIMENTS", "Experiment", "recorded"]


@dataclass(frozen=True)
class Experiment:
    """What the command line can run.

    Parameters
    ----------
    title : str
        One line.
    module, table : str
        Where its studies are: a module, and the name of its dict of a study for each scale.
    scales : tuple of str
        ``quick`` is what a page runs; those of the others come with the package as records.
    """

    title: str
    module: str
    table: str = "STUDIES"
    scales: tuple[str, ...] = ("paper", "quick")

    def study(self, scale: str) -> Study:
        """Return the study of a scale; raise a ValueError if there is none."""
        if scale not in self.scales:
            raise ValueError(f"no scale {scale!r}; it has {', '.join(self.scales)}")
        study: Study = getattr(import_module(self.module), self.table)[scale]
        return study


def _figure(module: str, title: str, *more: str, table: str = "STUDIES") -> Experiment:
    return Experiment(title, f"{__name__}.{module}", table, ("paper", *more, "quick"))


def _tuning(module: str, *more: str) -> Experiment:
    name = module.replace("_", "-")
    title = f"The runs that chose the steps of {name}, on held-out seeds"
    return _figure(module, title, *more, table="TUNING")


EXPERIMENTS = {
    "cleaning-tuning": _tuning("cleaning", "small"),
    "cleaning": _figure(
        "cleaning",
        "D-SOBA cleans corrupted Fashion-MNIST over four graphs (Kong et al. 2025, Experiment 2)",
        "small",
    ),
    "logistic-tuning": _tuning("logistic"),
    "logistic": _figure(
        "logistic",
        "D-SOBA tunes a logistic regression against MA-DSBO and MDBO (Kong et al. 2025, Exp. 1)",
    ),
    "logistic-theta": _figure(
        "logistic", "D-SOBA with other weights of the moving average", table="THETA"
    ),
    "logistic-size": _figure(
        "logistic", "What the two variants of D-SOBA cost as d and p grow", table="SIZE"
    ),
    "nonlinear": _figure(
        "nonlinear", "The transient of D-SOBA on a nonlinear problem, against centralised runs"
    ),
    "sparkle-tuning": _tuning("sparkle"),
    "sparkle": _figure(
        "sparkle",
        "SPARKLE against D-SOBA: cleaning over a sparse graph, another graph for each level",
    ),
    "complexity-tuning": _tuning("complexity"),
    "complexity": _figure(
        "complexity", "The methods of the complexity tables: oracle calls against ‖∇Φ‖²"
    ),
    "meta-tuning": _tuning("meta"),
    "meta": _figure(
        "meta", "DIAMOND learns a common representation (Qiu et al. 2023, Figs 1 to 3)", "long"
    ),
    "domains-tuning": _tuning("domains"),
    "domains": _figure(
        "domains", "D-SOBA learns mixture weights of text domains (Kong et al. 2025, application)"
    ),
    "domains-retraining": _figure(
        "domains", "What learned weights are worth: training from scratch", table="RETRAINING"
    ),
    "a9a-tuning": _tuning("a9a"),
    "a9a": _figure("a9a", "DIAMOND tunes a regulariser on a9a (Qiu et al. 2023, Fig. 4)"),
    "actor-critic-tuning": _tuning("actor_critic"),
    "actor-critic": _figure(
        "actor_critic", "Actors and critics: agents with rewards of their own learn one policy"
    ),
}


def recorded() -> list[tuple[str, str]]:
    """Return the name and the scale of every record, those that tune first."""
    return [(name, s) for name, known in EXPERIMENTS.items() for s in known.scales if s != "quick"]
