"""Algorithms, one file each; `ALGORITHMS` lists them by name."""

from dsbo.algorithms.base import Algorithm
from dsbo.algorithms.diamond import DIAMOND
from dsbo.algorithms.dsbo import DSBO
from dsbo.algorithms.dsgd import DSGD, GTSGD, MSGD
from dsbo.algorithms.dsoba import DSOBA
from dsbo.algorithms.gossip import GossipDSBO
from dsbo.algorithms.interact import INTERACT, SVRINTERACT
from dsbo.algorithms.lopa import LOPA, LOPAGT
from dsbo.algorithms.madsbo import MADSBO
from dsbo.algorithms.mdbo import MDBO, VRDBO
from dsbo.algorithms.single_level import SingleLevelDSGD
from dsbo.algorithms.slam import SLAM
from dsbo.algorithms.sldbo import SLDBO
from dsbo.algorithms.soba import SOBA
from dsbo.algorithms.sparkle import SPARKLE

ALGORITHMS: dict[str, type[Algorithm]] = {
    "dsoba": DSOBA,
    "sparkle": SPARKLE,
    "madsbo": MADSBO,
    "mdbo": MDBO,
    "vrdbo": VRDBO,
    "diamond": DIAMOND,
    "msgd": MSGD,
    "gtsgd": GTSGD,
    "dsgd": DSGD,
    "interact": INTERACT,
    "svr_interact": SVRINTERACT,
    "sldbo": SLDBO,
    "lopa": LOPA,
    "lopa_gt": LOPAGT,
    "dsbo": DSBO,
    "slam": SLAM,
    "gossip": GossipDSBO,
    "soba": SOBA,
    "single_level": SingleLevelDSGD,
}

__all__ = [
    "ALGORITHMS",
    "DIAMOND",
    "DSBO",
    "DSGD",
    "DSOBA",
    "GTSGD",
    "INTERACT",
    "LOPA",
    "LOPAGT",
    "MADSBO",
    "MDBO",
    "MSGD",
    "SLAM",
    "SLDBO",
    "SOBA",
    "SPARKLE",
    "SVRINTERACT",
    "VRDBO",
    "Algorithm",
    "GossipDSBO",
    "SingleLevelDSGD",
]
