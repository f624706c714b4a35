"""Transports: how the rows of agents are summed."""

from dsbo.network.base import Network
from dsbo.network.dense import Dense
from dsbo.network.launch import join, spawn
from dsbo.network.one_peer import OnePeer
from dsbo.network.peers import Peers
from dsbo.network.per_level import PerLevel
from dsbo.network.ranks import PeerLost
from dsbo.network.sparse import Sparse

__all__ = [
    "Dense",
    "Network",
    "OnePeer",
    "PeerLost",
    "Peers",
    "PerLevel",
    "Sparse",
    "join",
    "spawn",
]
