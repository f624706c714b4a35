"""Algorithms, one file each; `ALGORITHMS` lists them by name."""

from dsbo.algorithms.base import Algorithm
from dsbo.algorithms.diamond import DIAMOND
from dsbo.algorithms.dsgd import DSGD, GTSGD, MSGD
from dsbo.algorithms.dsoba import DSOBA
from dsbo.algorithms.single_level import SingleLevelDSGD
from dsbo.algorithms.soba import SOBA

ALGORITHMS: dict[str, type[Algorithm]] = {
    "dsoba": DSOBA,
    "diamond": DIAMOND,
    "msgd": MSGD,
    "gtsgd": GTSGD,
    "dsgd": DSGD,
    "soba": SOBA,
    "single_level": SingleLevelDSGD,
}

__all__ = [
    "ALGORITHMS",
    "DIAMOND",
    "DSGD",
    "DSOBA",
    "GTSGD",
    "MSGD",
    "SOBA",
    "Algorithm",
    "SingleLevelDSGD",
]
