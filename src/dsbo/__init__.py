"""Decentralized stochastic bilevel optimization in PyTorch.

Agents on a graph, with no server, solve min over x of f(x, y*(x)), where y*(x) minimises g(x, ·),
each knowing only its own losses and talking to its neighbours.

>>> from dsbo import DSOBA, Dense, graphs, mixing, problems, run
"""

from typing import TYPE_CHECKING, Any

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
from dsbo.network import Dense, Network, OnePeer, PeerLost, Peers, PerLevel, Sparse
from dsbo.problems import Problem
from dsbo.run import Diverged, run
from dsbo.schedules import Power
from dsbo.trace import Trace, TraceError

if TYPE_CHECKING:
    from dsbo.claims import claim, glue, refuted

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
    "claim",
    "conformance",
    "glue",
    "graphs",
    "hypergrad",
    "mixing",
    "problems",
    "refuted",
    "run",
    "schedules",
]


def __getattr__(name: str) -> Any:
    # They import SymPy, which takes seconds and which no run needs.
    if name in ("claim", "glue", "refuted"):
        from dsbo import claims

        return getattr(claims, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
