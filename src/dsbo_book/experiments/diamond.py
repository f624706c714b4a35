"""DIAMOND and the three methods that Qiu et al. 2023 compare it with, by the rules of Theorem 1.

    alpha_t = c_α (2 + t)^(-1/3)        beta_t = c_β alpha_t .

A cell's ``alpha`` is c_α, its ``beta`` is c_α c_β. The momenta of DIAMOND and M-SGD keep the
paper's printed weights, 0.1 (10 (2 + t)^(-1/3))², cut at 1, whatever c_α is: they belong to the
noise, not to the scale of the losses.
"""

from __future__ import annotations

from dsbo.algorithms import DIAMOND, DSGD, GTSGD, MSGD
from dsbo_book.experiments.study import Cell

METHODS: dict[str, type[DIAMOND]] = {
    "DIAMOND": DIAMOND,
    "GT-SGD": GTSGD,
    "M-SGD": MSGD,
    "D-SGD": DSGD,
}
MEMORY = 10.0
"""c_η c_α² = c_γ c_α² of the meta-learning experiment as printed, 0.1 · 10²."""


def by_theorem(cell: Cell, K: int, L: float) -> DIAMOND:
    """Return the method of a cell with the steps of the cell.

    Parameters
    ----------
    cell : dict
        With ``method``, ``alpha`` and ``beta``.
    K, L
        Terms of the Neumann series, and a bound on the lower Hessians.
    """
    alpha, weight = cell["alpha"], MEMORY / cell["alpha"] ** 2
    return METHODS[cell["method"]].published(alpha, cell["beta"] / alpha, weight, weight, K=K, L=L)
