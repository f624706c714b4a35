"""Algorithms, one file each.

Those in `reconstructed` were not typed from their own paper's text, which was not at hand, but from
its abstract, from reviews and from the tables of others; each says what is certain.
"""

from dsbo.algorithms.base import Algorithm as Algorithm
from dsbo.algorithms.base import Cost as Cost
from dsbo.algorithms.diamond import DIAMOND as DIAMOND
from dsbo.algorithms.dsgd import DSGD as DSGD
from dsbo.algorithms.dsgd import GTSGD as GTSGD
from dsbo.algorithms.dsgd import MSGD as MSGD
from dsbo.algorithms.dsoba import DSOBA as DSOBA
from dsbo.algorithms.reconstructed.adaptive import AdaSDBO as AdaSDBO
from dsbo.algorithms.reconstructed.adaptive import AdaSDBOGT as AdaSDBOGT
from dsbo.algorithms.reconstructed.dsbo import DSBO as DSBO
from dsbo.algorithms.reconstructed.gossip import GossipDSBO as GossipDSBO
from dsbo.algorithms.reconstructed.interact import INTERACT as INTERACT
from dsbo.algorithms.reconstructed.interact import SVRINTERACT as SVRINTERACT
from dsbo.algorithms.reconstructed.lopa import LOPA as LOPA
from dsbo.algorithms.reconstructed.lopa import LOPAGT as LOPAGT
from dsbo.algorithms.reconstructed.madsbo import MADSBO as MADSBO
from dsbo.algorithms.reconstructed.mdbo import MDBO as MDBO
from dsbo.algorithms.reconstructed.mdbo import VRDBO as VRDBO
from dsbo.algorithms.reconstructed.penalty import DF2SA as DF2SA
from dsbo.algorithms.reconstructed.recursive import SRBA as SRBA
from dsbo.algorithms.reconstructed.recursive import STORMSOBA as STORMSOBA
from dsbo.algorithms.reconstructed.slam import SLAM as SLAM
from dsbo.algorithms.reconstructed.sldbo import SLDBO as SLDBO
from dsbo.algorithms.reconstructed.sparkle import SPARKLE as SPARKLE
from dsbo.algorithms.single_level import SingleLevelDSGD as SingleLevelDSGD
from dsbo.algorithms.soba import SOBA as SOBA

ALGORITHMS = tuple(
    found
    for found in list(vars().values())
    if isinstance(found, type) and issubclass(found, Algorithm) and found is not Algorithm
)
"""All of them, in the order of their modules."""
