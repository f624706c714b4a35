"""Algorithms, one file each; `ALGORITHMS` lists them by name."""

from dsbo.algorithms.base import Algorithm
from dsbo.algorithms.dsoba import DSOBA
from dsbo.algorithms.single_level import SingleLevelDSGD
from dsbo.algorithms.soba import SOBA

ALGORITHMS: dict[str, type[Algorithm]] = {
    "dsoba": DSOBA,
    "soba": SOBA,
    "single_level": SingleLevelDSGD,
}

__all__ = ["ALGORITHMS", "DSOBA", "SOBA", "Algorithm", "SingleLevelDSGD"]
