"""DIAMOND and the three methods that Qiu et al. 2023 compare it with, by the rules of Theorem 1.

    alpha_t = c_α (2 + t)^(-1/3)        beta_t = c_β alpha_t        eta_{t+1} = c_η alpha_t² .

A cell's ``alpha`` is c_α, its ``beta`` is c_α c_β and its ``eta``, which DIAMOND and M-SGD have, is
c_η c_α² = c_γ c_α²: the momenta of t + 1 are eta (2 + t)^(-2/3), at most 1. So the three can be
chosen one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dsbo.algorithms import DIAMOND, DSGD, GTSGD, MSGD
from dsbo_book.experiments.study import Cell, grid

METHODS: dict[str, type[DIAMOND]] = {
    "DIAMOND": DIAMOND,
    "GT-SGD": GTSGD,
    "M-SGD": MSGD,
    "D-SGD": DSGD,
}


def by_theorem(cell: Cell, K: int, L: float) -> DIAMOND:
    """Return the method of a cell with the steps of the cell.

    Parameters
    ----------
    cell : dict
        With ``method``, ``alpha`` and ``beta``, and ``eta`` if the method has momentum.
    K, L
        Terms of the Neumann series, and a bound on the lower Hessians.
    """
    method, alpha = METHODS[cell["method"]], cell["alpha"]
    weight = cell["eta"] / alpha**2 if method.momentum else 0.0
    return method.published(alpha, cell["beta"] / alpha, weight, weight, K=K, L=L)


def candidates(
    method: str, alpha: Sequence[float], beta: Sequence[float], eta: Sequence[float]
) -> list[Cell]:
    """Return as many candidates for each method, within the same bounds.

    Of nine ``alpha`` a method with momentum takes the first, the middle and the last, each with
    every one of three ``eta``; one without takes all nine.
    """
    if not METHODS[method].momentum:
        return grid(alpha=alpha, beta=beta)
    return grid(eta=eta, alpha=alpha[::4], beta=beta)


def coarse(scores: pd.DataFrame, eta: float) -> pd.DataFrame:
    """Return the scores of the ``alpha`` that all methods try, of momenta the ``eta`` alone."""
    momentum = [name for name in scores if METHODS[str(name)].momentum]
    shared = scores[momentum].dropna(how="all").index.unique("alpha")
    level = scores.index.get_level_values
    return scores[level("alpha").isin(shared) & level("eta").isin([eta, np.nan])]


def as_printed(printed: Cell) -> dict[str, Cell]:
    """Return the printed steps by method, with the printed momentum where there is one."""
    steps = {key: value for key, value in printed.items() if key != "eta"}
    return {name: printed if method.momentum else steps for name, method in METHODS.items()}
