"""Transports: how the rows of agents are summed."""

from dsbo.network.base import Network
from dsbo.network.dense import Dense
from dsbo.network.one_peer import OnePeer
from dsbo.network.per_level import PerLevel
from dsbo.network.sparse import Sparse

__all__ = ["Dense", "Network", "OnePeer", "PerLevel", "Sparse"]
