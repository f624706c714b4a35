"""Decentralized stochastic bilevel optimization in PyTorch.

Agents on a graph, with no server, solve min over x of f(x, y*(x)), where y*(x) minimises g(x, ·),
each knowing only its own losses and talking to its neighbours.

>>> from dsbo import DSOBA, Dense, graphs, mixing, problems, run
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dsbo import callbacks as callbacks
from dsbo import conformance as conformance
from dsbo import hypergrad as hypergrad
from dsbo import mixing as mixing
from dsbo import moved as _names
from dsbo import problems as problems
from dsbo import projections as projections
from dsbo import schedules as schedules
from dsbo.algorithms import *
from dsbo.checkpoint import CheckpointError as CheckpointError
from dsbo.diverged import Diverged as Diverged
from dsbo.first_order import FirstOrder as FirstOrder
from dsbo.levels import Level as Level
from dsbo.levels import SecondOrder as SecondOrder
from dsbo.network import Dense as Dense
from dsbo.network import Network as Network
from dsbo.network import OnePeer as OnePeer
from dsbo.network import PeerLost as PeerLost
from dsbo.network import Peers as Peers
from dsbo.network import PerLevel as PerLevel
from dsbo.network import PushPull as PushPull
from dsbo.network import Sparse as Sparse
from dsbo.problems import Problem as Problem
from dsbo.run import run as run
from dsbo.schedules import Power as Power
from dsbo.suggest import suggest as suggest
from dsbo.sweep import sweep as sweep
from dsbo.trace import Trace as Trace
from dsbo.trace import TraceError as TraceError
from dsbo.tune import tune as tune

if TYPE_CHECKING:
    from dsbo import graphs as graphs

sys.meta_path.append(_names.Finder)
_moved = _names.moved(__name__, "claim", "glue", "refuted", *_names.MODULES)


def __getattr__(name: str) -> Any:
    # NetworkX takes a tenth of PyTorch's time to import, and many runs need no graph.
    return import_module("dsbo.graphs") if name == "graphs" else _moved(name)
