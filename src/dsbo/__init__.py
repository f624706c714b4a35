"""Decentralized stochastic bilevel optimization in PyTorch.

Agents on a graph, with no server, solve min over x of f(x, y*(x)), where y*(x) minimises g(x, ·),
each knowing only its own losses and talking to its neighbours.

>>> from dsbo import DSOBA, Dense, graphs, mixing, problems, run
"""

import sys

from dsbo import conformance, graphs, hypergrad, mixing, problems, schedules
from dsbo.algorithms import (
    DIAMOND,
    DSBO,
    DSGD,
    DSOBA,
    GTSGD,
    INTERACT,
    LOPA,
    LOPAGT,
    MADSBO,
    MDBO,
    MSGD,
    SLAM,
    SLDBO,
    SOBA,
    SPARKLE,
    SVRINTERACT,
    VRDBO,
    Algorithm,
    GossipDSBO,
    SingleLevelDSGD,
)
from dsbo.checkpoint import CheckpointError
from dsbo.levels import FirstOrder, Level, SecondOrder
from dsbo.moved import MODULES, Finder, moved
from dsbo.network import Dense, Network, OnePeer, PeerLost, Peers, PerLevel, Sparse
from dsbo.problems import Problem
from dsbo.run import Diverged, run
from dsbo.schedules import Power
from dsbo.trace import Trace, TraceError

__all__ = [
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
    "CheckpointError",
    "Dense",
    "Diverged",
    "FirstOrder",
    "GossipDSBO",
    "Level",
    "Network",
    "OnePeer",
    "PeerLost",
    "Peers",
    "PerLevel",
    "Power",
    "Problem",
    "SecondOrder",
    "SingleLevelDSGD",
    "Sparse",
    "Trace",
    "TraceError",
    "conformance",
    "graphs",
    "hypergrad",
    "mixing",
    "problems",
    "run",
    "schedules",
]

sys.meta_path.append(Finder)
__getattr__ = moved(__name__, "claim", "glue", "refuted", *MODULES)
